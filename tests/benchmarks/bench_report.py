"""How long the report of a long sweep takes, and how large its page is: goals 30 s and 5 MB at 2,000 trials.

    python -m tests.benchmarks.bench_report                          # 20, 200 and 2,000 simulated trials, 202 families
    python -m tests.benchmarks.bench_report --experiment runs/long   # a sweep that was run

Each report is written by the command a user gives, in a process of its own, so imports count. CPU time is told beside
wall-clock time, because it is what the report costs when others use the machine; the importance of settings by fANOVA,
Optuna's default, is told beside the report's own way of finding it.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

TRIALS = (20, 200, 2000)


class Cost(NamedTuple):
    wall: float
    cpu: float
    page: int
    folder: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", type=Path, help="an experiment's folder, instead of simulated ones")
    parser.add_argument("--trials", type=int, nargs="+", default=TRIALS)
    parser.add_argument("--fanova", action="store_true", help="time fANOVA too: minutes at 2,000 trials")
    arguments = parser.parse_args()
    print(f"{'trials':>7} {'wall s':>8} {'CPU s':>8} {'page MB':>8} {'all files MB':>13}")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.experiment:
            show("given", report(arguments.experiment, Path(folder, "report")))
            return
        for trials in arguments.trials:
            experiment = simulate(Path(folder, str(trials)), trials)
            show(str(trials), report(experiment, Path(folder, f"report-{trials}")))
            if arguments.fanova:
                time_importances(experiment)


def simulate(folder: Path, trials: int) -> Path:
    import optuna

    from tests.analysis_tests.example import make_example
    from tests.analysis_tests.example_photos import write_example_photos

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    experiment = make_example(folder, trials=trials, families=202).experiment
    write_example_photos(experiment / "final")
    return experiment


def report(experiment: Path, out: Path) -> Cost:
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "analysis", "report", str(experiment), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    files = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return Cost(wall, cpu, (out / "index.html").stat().st_size, files)


def show(name: str, cost: Cost) -> None:
    print(f"{name:>7} {cost.wall:8.1f} {cost.cpu:8.1f} {cost.page / 1e6:8.2f} {cost.folder / 1e6:13.2f}", flush=True)


def time_importances(experiment: Path) -> None:
    import optuna

    from analysis.data.experiment import read
    from analysis.data.frames import frames
    from analysis.report.sections.importance import importances

    read_experiment = read(experiment)
    tables = frames(read_experiment)
    started = time.process_time()
    importances(tables.trials, read_experiment.sweep["space"], "max")
    ours = time.process_time() - started
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{experiment / 'study.db'}")
    started = time.process_time()
    optuna.importance.get_param_importances(study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0))
    print(f"        importances: {ours:.1f} s CPU; fANOVA: {time.process_time() - started:.1f} s CPU", flush=True)


if __name__ == "__main__":
    main()
