#!/usr/bin/env bash
# On a study in a locked SQLite file, Optuna's `ask` waits five timeouts and four pauses before it fails, not one.
#
# Version        optuna 5.0.0 with SQLAlchemy 2.1.9, Python 3.11 on Linux. Needs a package index.
# Expected guess `RDBStorage(…, engine_kwargs={"connect_args": {"timeout": seconds}})` says how long a call waits for a
#                lock, so a short timeout lets `study.ask()` fail fast, and its error names the lock.
# Behaviour      Other writes, such as `trial.report`, wait one timeout. `ask` tries five times, each with the whole
#                timeout, and sleeps up to 2 s, drawn at random, between the tries: 5 timeouts and some 4 s, and nothing
#                is logged meanwhile. A short timeout becomes seconds; SQLite's default of 5 s becomes 25 to 33 s. Both
#                errors then blame invalid data in the commit; that the database is locked stands at the end of the
#                chain of causes.
# Remedy         Reckon with 5 timeouts and up to 8 s, and read the last `__cause__`.
#
# Output seen:
#   timeout 0.5 s: report failed after 0.5 s, ask after 4.6 s
#   timeout 2.0 s: report failed after 2.1 s, ask after 16.0 s
#   both say: This typically happens due to invalid data in the commit
#   the first cause: database is locked
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 the script could not run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment || exit 2
environment/bin/pip install --quiet --disable-pip-version-check optuna==5.0.0 SQLAlchemy==2.1.9 || exit 2

cat > wait.py <<'PYTHON'
import sqlite3
import sys
import time

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
as_described = True


def failed(call):
    """The seconds after which the call failed, its error's text and that of the first cause."""
    start = time.monotonic()
    try:
        call()
    except optuna.exceptions.StorageInternalError as error:
        seconds, cause = time.monotonic() - start, error
        while cause.__cause__:
            cause = cause.__cause__
        return seconds, str(error), str(cause)
    sys.exit("changed: no error")  # exit status 1


for timeout in (0.5, 2.0):
    file = f"study_{timeout}.db"
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}", engine_kwargs={"connect_args": {"timeout": timeout}})
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # What a program does that is about to write.
    report, *said = failed(lambda: trial.report(0.5, step=1))
    ask, *said_of_ask = failed(study.ask)
    other.execute("ROLLBACK")
    other.close()
    print(f"timeout {timeout} s: report failed after {report:.1f} s, ask after {ask:.1f} s", flush=True)
    as_described &= report < 2 * timeout and ask > 5 * timeout and said == said_of_ask
    as_described &= "invalid data" in said[0] and said[1] == "database is locked"
text, cause = said
print(f"both say: {text.split('. ')[1].split(', ')[0]}")
print(f"the first cause: {cause}")
sys.exit(0 if as_described else 1)
PYTHON
environment/bin/python wait.py
