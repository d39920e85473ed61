"""Provenance: commits, versions, seeds, machines and times."""

from analysis.data.report_data import ReportData
from analysis.render.section import Heading, Section
from analysis.render.wording import duration, join_words, moment
from analysis.report.sections.dataset import facts_table


def section(data: ReportData) -> Section:
    """One table of what is recorded."""
    experiment, trials = data.experiment, data.frames.trials
    record, final = experiment.provenance, data.final.metrics if data.final else {}
    versions = final.get("versions") or record.get("versions") or (experiment.best.versions if experiment.best else {})
    summary = experiment.summary or {}
    pairs = set(zip(trials["host"], trials["device"], strict=True))
    machines = sorted(f"{host} ({device})" for host, device in pairs if isinstance(host, str))
    commits = [str(commit) for commit in (record.get("git_commit"), final.get("git_commit")) if commit]
    commit = commits[0] if commits else "not recorded: it did not run in a checkout"
    if len(set(commits)) == 2:
        commit = f"{commits[0]} (sweep), {commits[1]} (final stage)"
    table = facts_table(
        "provenance",
        "Runs, machines and versions",
        {
            "sweep started": moment(record.get("started")),
            "sweep ended because": summary.get("ended_because"),
            "time: sweep": duration(summary.get("wall_seconds")),
            "time: final stage": duration(final["seconds"]) if "seconds" in final else None,
            "machines": join_words(machines) or record.get("host"),
            "platform": record.get("platform"),
            "seed of the sweep": experiment.sweep.get("seed"),
            "commit of Raretune": commit,
            "command": " ".join(map(str, record["command"])) if record.get("command") else None,
            "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        },
    )
    return Section(Heading("provenance", "Provenance"), (table,))
