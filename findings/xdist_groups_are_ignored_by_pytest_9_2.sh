#!/usr/bin/env bash
# Under pytest 9.2, pytest-xdist's `--dist loadgroup` deals tests out one by one and ignores `xdist_group`, silently.
#
# Version        pytest-xdist 3.8.0 with pytest 9.2.0; beside it pytest 9.0.2. Python 3.11 on Linux. Needs a package index.
# Expected guess Tests with one `xdist_group` mark run in one worker, as xdist documents, with every pytest that pip accepts.
# Behaviour      With pytest 9.2.0 each test goes to any worker, as with `--dist load`: session fixtures are built in every
#                worker, and tests that must not run beside each other do. No error, no warning; all tests pass.
#                xdist marks a group by writing `@group` into the private attribute `_nodeid` of an item; pytest 9.2
#                keeps the id elsewhere, as a structured value, so the scheduler never sees the group.
# Remedy         A scheduler of one's own by the hook pytest_xdist_make_scheduler, which reads the group from elsewhere.
#
# Output seen:
#   pytest 9.0.2: workers of group one: 1, of group two: 1
#   pytest 9.2.0: workers of group one: 2, of group two: 2
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 the script could not run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat > test_groups.py <<'PYTHON'
import os
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", range(20))
@pytest.mark.parametrize(
    "group", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("one", "two")]
)
def test_of_a_group(group, number):
    time.sleep(0.02)
    with Path("seen").open("a") as seen:
        seen.write(f"{group} {os.environ['PYTEST_XDIST_WORKER']}\n")
PYTHON

workers() { sort -u seen | grep -c "^$1 "; }

for version in 9.0.2 9.2.0; do
    python3 -m venv "environment-$version" || exit 2
    "environment-$version/bin/pip" install --quiet --disable-pip-version-check "pytest==$version" pytest-xdist==3.8.0 || exit 2
    rm -f seen
    "environment-$version/bin/python" -m pytest -q -n 2 --dist loadgroup -p no:cacheprovider > "log-$version" 2>&1 || exit 2
    echo "pytest $version: workers of group one: $(workers one), of group two: $(workers two)"
    echo "$(workers one) $(workers two)" > "workers-$version"
done
[ "$(cat workers-9.0.2)" = "1 1" ] && [ "$(cat workers-9.2.0)" = "2 2" ]
