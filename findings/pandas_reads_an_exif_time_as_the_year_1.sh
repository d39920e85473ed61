#!/usr/bin/env bash
# pandas reads an EXIF time as a time of day on 1 January of the year 1, without an error.
#
# Version        pandas 3.1.1 with numpy 2.4.6 and python-dateutil 4.0.0, Python 3.11 on Linux. Needs a package index.
# Expected guess EXIF writes times with colons in the date: `2020:05:30 04:57:37`. Either pandas understands this
#                common format, or it refuses the text, as pandas 2.3.3 did (OutOfBoundsDatetime).
# Behaviour      `pd.to_datetime`, `pd.Timestamp` and `read_csv(parse_dates=…)` return 0001-01-01 04:57:37: the date is
#                dropped and the time of day kept. All photos then seem to be of one day.
#                A single text gives no error and no warning; for a column pandas only warns that it could not infer
#                a format. pandas 2 raised because nanoseconds cannot hold the year 1; microseconds, the default
#                since pandas 3, can.
# Remedy         pd.to_datetime(times, format="%Y:%m:%d %H:%M:%S")
#
# Output seen:
#   to_datetime: 0001-01-01 04:57:37
#   Timestamp:   0001-01-01 04:57:37
#   read_csv:    0001-01-01 04:57:37 and 0001-01-01 23:59:59, warnings: 1
#   with format: 2020-05-30 04:57:37
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 the script could not run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment || exit 2
environment/bin/pip install -q --disable-pip-version-check pandas==3.1.1 numpy==2.4.6 python-dateutil==4.0.0 || exit 2

cat > check.py <<'PYTHON'
import io
import sys
import warnings

import pandas as pd

EXIF, LATER = "2020:05:30 04:57:37", "2021:12:31 23:59:59"
try:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning would be a changed behaviour
        one, other = pd.to_datetime(EXIF), pd.Timestamp(EXIF)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        table = pd.read_csv(io.StringIO(f"taken\n{EXIF}\n{LATER}\n"), parse_dates=["taken"])
except (ValueError, Warning) as changed:
    sys.exit(f"changed: {type(changed).__name__}: {changed}")  # exit status 1
print(f"to_datetime: {one}")
print(f"Timestamp:   {other}")
print(f"read_csv:    {table.taken[0]} and {table.taken[1]}, warnings: {len(seen)}")
print(f"with format: {pd.to_datetime(EXIF, format='%Y:%m:%d %H:%M:%S')}")
years = {one.year, other.year, *(getattr(taken, "year", None) for taken in table.taken)}
sys.exit(0 if years == {1} else 1)
PYTHON
environment/bin/python check.py
