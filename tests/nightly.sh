#!/usr/bin/env bash
# All slow tests, a part for each file, and the drills on a cluster of test hosts: some hours on two cores.
#   tests/nightly.sh                                       # everything
#   tests/nightly.sh --list                                # the parts, one a line
#   tests/nightly.sh drill:disk tests/end_to_end_tests/test_join.py
# Each part has its log in build/nightly/. The table at the end says of each what ran, what failed, and what did not run
# and why; the exit status is 1 where anything failed. It installs what the tests need, as .ci/run does.
set -uo pipefail
cd "$(dirname "$0")/.."

PART_SECONDS=7200
DRILLS=(raylet link driver disk)
HOSTS=tests/end_to_end_tests/test_cluster.py # As the drills, it makes hosts, which not every machine allows.
mapfile -t files < <(grep -rl --include='test_*.py' 'pytest\.mark\.slow' tests | sort)
parts=("${files[@]}" "${DRILLS[@]/#/drill:}")
if [ "${1:-}" = --list ]; then
    printf '%s\n' "${parts[@]}"
    exit
fi
for part in "$@"; do
    case " ${parts[*]} " in
        *" $part "*) ;;
        *) echo "error: $part is no part; --list prints them" >&2; exit 2 ;;
    esac
done
[ $# -eq 0 ] || parts=("$@")

set -e
source .ci/packages
make .venv/.dev
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-gp.txt
set +e

logs=build/nightly
mkdir -p "$logs"
failed=0
table=()
no_hosts=$(.venv/bin/python -m tests.cluster_tests.hosts --allowed) && no_hosts=

# What a part's log says of itself: pytest's last line with the reasons of what it skipped, or the drill's verdict.
verdict() {
    if [[ $1 == drill:* ]]; then
        grep -h '^drills that lost something' "$2" || tail -n 1 "$2"
    else
        grep -E '^[0-9]+ (passed|failed|skipped|error)|^no tests ran' "$2" | tail -n 1
        sed -n 's/^SKIPPED \[[0-9]*\] /  did not run: /p' "$2"
    fi
}

run() {
    local part=$1 log began=$SECONDS status outcome
    log=$logs/$(echo "$part" | tr '/:' '__').log
    shift
    echo "=== $part, from $(date +%H:%M:%S), log in $log"
    timeout --kill-after=60 $PART_SECONDS "$@" > "$log" 2>&1 < /dev/null
    status=$?
    outcome=ok
    if [ $status -eq 124 ]; then outcome="FAILED after $PART_SECONDS s"; elif [ $status -ne 0 ]; then outcome="FAILED ($status)"; fi
    if [ $status -ne 0 ]; then
        failed=$((failed + 1))
        tail -n 40 "$log"
    fi
    table+=("$(printf '%-64s %-12s %5d s  %s' "$part" "$outcome" $((SECONDS - began)) "$(verdict "$part" "$log")")")
    echo "${table[-1]}"
}

for part in "${parts[@]}"; do
    if [[ $part == drill:* || $part == "$HOSTS" ]] && [ -n "$no_hosts" ]; then
        table+=("$(printf '%-64s NOT RUN: this machine makes no hosts: %s' "$part" "$no_hosts")")
    elif [[ $part == drill:* ]]; then
        run "$part" .venv/bin/python -m tests.benchmarks.cluster_drills "${part#drill:}"
    else
        hosts=()
        [ "$part" = "$HOSTS" ] && hosts=(env CI=1) # It may not skip where hosts can be made.
        run "$part" "${hosts[@]}" .venv/bin/python -m pytest --slow -m slow -rs "$part"
    fi
done

echo
echo "=== nightly: ${#parts[@]} parts, $failed failed, $SECONDS s"
printf '%s\n' "${table[@]}"
[ $failed -eq 0 ]
