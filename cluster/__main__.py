"""Bring sweeps to a cluster, and watch and stop them there.

A cluster of one's own machines, from nothing to the best configuration:

    python -m cluster token
    ray up -y cluster/onprem.yaml
    python -m cluster doctor --cluster cluster/onprem.yaml --shared /mnt/raretune
    ray submit cluster/onprem.yaml cluster/submit.py -- search/sweeps/default.yaml --experiment /mnt/raretune/first
    ray rsync-down cluster/onprem.yaml /mnt/raretune/first/ runs/first/
    python -m cluster down cluster/onprem.yaml

A sweep that outlives the laptop, and the final stage on a GPU of the cluster:

    python -m cluster submit --cluster cluster/onprem.yaml -- \\
        search/sweeps/default.yaml --experiment /mnt/raretune/first
    python -m cluster logs JOB --follow --cluster cluster/onprem.yaml
    python -m cluster resume /mnt/raretune/first --cluster cluster/onprem.yaml
    python -m cluster submit --cluster cluster/onprem.yaml --gpus 1 -- \\
        -m trainables retrain /mnt/raretune/first/best.json
"""

import argparse
import shlex
import sys
from pathlib import Path

from cluster import launcher
from cluster.launcher import ClusterError, make_token, use_token


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run the sub-command; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by Ctrl-C; a job goes on until `python -m cluster stop JOB`", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m cluster", description=__doc__, formatter_class=form)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    token = commands.add_parser("token", help="make the token that a cluster asks for, unless there is one")
    token.set_defaults(command=_token)

    doctor = commands.add_parser("doctor", help="examine a cluster before a sweep: all problems at once")
    doctor.add_argument("--cluster", type=Path, metavar="FILE", help="the cluster file; without it, run on the head")
    doctor.add_argument("--address", default="auto", help="Ray's address, when run on the cluster [%(default)s]")
    doctor.add_argument("--nodes", type=int, help="how many nodes there should be [as the cluster file says]")
    shared = "shared folder or URL (repeatable)"
    doctor.add_argument("--shared", action="append", default=[], metavar="PLACE", help=shared)
    doctor.add_argument("--least-gb", type=float, default=10, help="free disk on each node, in GB [%(default)s]")
    doctor.add_argument("--wait", type=float, default=120, help="seconds for the nodes to join [%(default)s]")
    doctor.set_defaults(command=_doctor)

    down = commands.add_parser("down", help="end Ray on every node, and the cluster")
    down.add_argument("cluster", type=Path, metavar="FILE", help="the cluster file")
    down.set_defaults(command=lambda options: launcher.down(options.cluster))

    _add_jobs(commands)
    return parser


def _add_jobs(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    where = argparse.ArgumentParser(add_help=False)
    place = where.add_mutually_exclusive_group()
    place.add_argument("--cluster", type=Path, metavar="FILE", help="the cluster file; its dashboard is forwarded here")
    place.add_argument("--address", default="http://127.0.0.1:8265", help="a forwarded dashboard [%(default)s]")

    sent = argparse.ArgumentParser(add_help=False)
    sent.add_argument("--name", help="the job's name [one is made]")
    sent.add_argument("--cpus", type=float, default=0, help="cores for the job's own process [none]")
    sent.add_argument("--gpus", type=float, default=0, help="GPUs for the job's own process [none]")
    sent.add_argument("--follow", action="store_true", help="show the log until the job has ended")
    gate = "begin only where the doctor finds no problem; its options as in --doctor='--nodes 4 --shared /mnt/raretune'"
    sent.add_argument("--doctor", nargs="?", const=[], type=_doctor_words, metavar="OPTIONS", help=gate)

    def add(name: str, *parents: argparse.ArgumentParser, text: str) -> argparse.ArgumentParser:
        def run(options: argparse.Namespace) -> int:
            use_token()
            from cluster import jobs  # Not at the top: importing Ray takes a second.

            return int(getattr(jobs, "table" if name == "list" else name)(options))

        added = commands.add_parser(name, parents=[where, *parents], help=text)
        added.set_defaults(command=run)
        return added

    submit = add("submit", sent, text="send a sweep, or another command, as a job")
    submit.add_argument("words", nargs="+", metavar="-- SWEEP.yaml ...", help="a sweep and its options; -m MODULE ...")
    resume = add("resume", sent, text="go on with a sweep whose driver has died")
    resume.add_argument("experiment", metavar="EXPERIMENT", help="folder as the cluster sees it, or URL")
    resume.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key (repeatable)")
    add("list", text="list all jobs")
    add("status", text="say how a job is doing; exit status 1 when it failed").add_argument("job")
    logs = add("logs", text="show a job's log")
    logs.add_argument("job")
    logs.add_argument("--follow", action="store_true", help="until the job has ended")
    add("stop", text="end a job as Ctrl-C would").add_argument("job")


def _doctor_words(text: str) -> list[str]:
    """The options of a doctor that will run on the cluster, refused here and now where it would not take them."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be words as a shell reads them, not {text!r}: {error}") from None
    _parser().parse_args(["doctor", *words])
    return words


def _token(_: argparse.Namespace) -> int:
    file, new = make_token()
    print(f"{'made' if new else 'there is already'} {file}; anyone who can read it can use your clusters")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    if options.cluster:
        return launcher.doctor_on_head(options.cluster, options.shared, options.nodes, options.least_gb, options.wait)
    use_token()
    from cluster.doctor.examine import examine

    expected = options.nodes if options.nodes is not None else launcher.expected_nodes()
    results = examine(options.address, expected, options.shared, options.least_gb, options.wait)
    print("\n".join(result.line() for result in results))
    problems = sum(not result.ok for result in results)
    print(f"doctor: {problems} {'problem' if problems == 1 else 'problems'}" if problems else "doctor: all well")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
