"""Where the figures come from: data, weights, versions, machines."""

from typing import Any

from analysis.data.report_data import Findings
from analysis.render.table import Head, Line, Table
from analysis.render.wording import count, duration, join_words, moment, percent, plural


def data_table(findings: Findings) -> Table:
    """Which photos and which weights were used."""
    manifest: dict[str, Any] = findings.experiment.manifest or {}
    excluded = {str(reason): int(number) for reason, number in manifest.get("excluded", {}).items()}
    left_out = join_words([f"{count(number)} {reason}" for reason, number in sorted(excluded.items())]) or "none"
    rows = [
        ("photos from", manifest.get("source")),
        ("prepared in", findings.experiment.sweep["dataset"]),
        ("prepared on", moment(manifest.get("created"))),
        ("fingerprint of photos and split", _fingerprint(findings)),
        ("families", count(len(manifest["class_names"])) if manifest else None),
        ("label", manifest.get("label_level")),
        ("split", _split(manifest) if manifest else None),
        ("kept together", join_words([str(rule) for rule in manifest.get("grouping", [])]) or None),
        ("photos left out", left_out if manifest else None),
        ("weights the backbone started from", weights_words(findings)),
    ]
    return _facts("Data and weights", rows)


def provenance_table(findings: Findings) -> Table:
    """Versions, commit, seeds, machines and times."""
    experiment, trials = findings.experiment, findings.frames.trials
    record, final = experiment.provenance, findings.final.metrics if findings.final else {}
    versions = final.get("versions") or record.get("versions") or (experiment.best.versions if experiment.best else {})
    summary = experiment.summary or {}
    pairs = set(zip(trials["host"], trials["device"], strict=True))
    machines = sorted(f"{host} ({device})" for host, device in pairs if isinstance(host, str))
    rows = [
        ("sweep started", moment(record.get("started"))),
        ("sweep ended because", summary.get("ended_because")),
        ("time: sweep", duration(summary.get("wall_seconds"))),
        ("time: final stage", duration(final["seconds"]) if "seconds" in final else None),
        ("machines", join_words(machines) or record.get("host")),
        ("platform", record.get("platform")),
        ("seed of the sweep", experiment.sweep.get("seed")),
        ("commit of Raretune", _commits(record.get("git_commit"), final.get("git_commit"))),
        ("command", " ".join(map(str, record["command"])) if record.get("command") else None),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    return _facts("Runs, machines and versions", rows)


def weights_words(findings: Findings) -> str:
    """What the backbone started from."""
    weights = findings.weights
    known = [str(weights[key]) for key in ("requested", "kind", "detail") if weights.get(key)]
    return ": ".join(known) or "not recorded"


def _fingerprint(findings: Findings) -> str | None:
    best, manifest = findings.experiment.best, findings.experiment.manifest
    whole = best.dataset_fingerprint if best else manifest["fingerprint"] if manifest else ""
    return f"{whole[:16]}…" if len(whole) > 16 else whole or None


def _split(manifest: dict[str, Any]) -> str:
    train, validation, test = (percent(share, 0) for share in manifest["fractions"])
    together = f"; {plural(int(manifest['groups']), 'group')} of photos kept whole" if manifest.get("groups") else ""
    return f"{train} training, {validation} validation, {test} test, seed {manifest['seed']}{together}"


def _commits(sweep: object, final: object) -> str:
    known = [f"{commit}" for commit in (sweep, final) if commit]
    if len(set(known)) == 2:
        return f"{known[0]} (sweep), {known[1]} (final stage)"
    return known[0] if known else "not recorded: it did not run in a checkout"


def _facts(caption: str, rows: list[tuple[str, object]]) -> Table:
    lines = tuple(Line((name, str(value))) for name, value in rows if value not in (None, ""))
    return Table(caption, (Head("what"), Head("value", "fact")), lines)
