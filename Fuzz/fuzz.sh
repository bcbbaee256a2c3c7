#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET]...: every target, or those named, for so long each, as many at once as there are processors. What an
# input breaks is told at the end, with the file that holds it. `make fuzz` builds what this runs.
# TIMEOUT: seconds that an input may take (5). SEED: of chance (0: another one each time). RUNS: most inputs of a target.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?fuzz.sh SECONDS [TARGET]...}
shift
export TIMEOUT=${TIMEOUT:-5} SEED=${SEED:-0} RUNS=${RUNS:--1}
export seconds FUZZER=.build-fuzz/release/Fuzzer FREI0R=.build-fuzz/frei0r WORK=.build-fuzz/work
# Texts of prompts, to which a frei0r parameter is a short way.
export FREI0R_LENGTH=1024
# The runtime's report of a crash would end the process before libFuzzer has written the input.
export SWIFT_BACKTRACE=enable=no OMP_NUM_THREADS=1
export TMPDIR
TMPDIR=$(mktemp -d /dev/shm/fatezero-fuzz.XXXXXX)
trap 'rm -rf "$TMPDIR"' EXIT

targets=$({ "$FUZZER"; echo "frei0r $FREI0R_LENGTH"; } | sort)
if (($#)); then targets=$(grep -E "^($(IFS='|' && echo "$*")) " <<<"$targets"); fi

fuzz() {
  local target=$1 length=$2 program=$FUZZER own=()
  mkdir -p "$WORK/$target"/{corpus,artifacts}
  # Where address sanitizer watches, a process needs more.
  local memory=1024
  [[ $target != frei0r ]] || { program=$FREI0R memory=2048 own=(-close_fd_mask=2); }
  FUZZ_TARGET=$target "$program" "$WORK/$target/corpus" "Tests/Fixtures/fuzz/$target" -dict=Fuzz/dictionary.txt \
    -max_total_time="$seconds" -max_len="$length" -timeout="$TIMEOUT" -seed="$SEED" -runs="$RUNS" -rss_limit_mb=$memory -malloc_limit_mb=1024 \
    -artifact_prefix="$WORK/$target/artifacts/" -print_final_stats=1 "${own[@]}" >"$WORK/$target/log" 2>&1 \
    || touch "$WORK/$target/failed"
}
export -f fuzz

mkdir -p "$WORK"
rm -f "$WORK"/*/failed
xargs -P "$(nproc)" -L 1 bash -c 'fuzz "$@"' fuzz <<<"$targets"

total=0 failed=0
while read -r target _; do
  log=$WORK/$target/log
  count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  total=$((total + ${count:-0}))
  printf '%-16s %12s inputs\n' "$target" "${count:-no}"
  [[ -e $WORK/$target/failed ]] || continue
  failed=1
  echo "make fuzz: $target FAILED; all that was said is in $log" >&2
  grep -aE 'Fatal error|ERROR: |SUMMARY: |Test unit written' "$log" >&2 || tail -n 20 "$log" >&2
done <<<"$targets"
echo "$total inputs in all"
exit $failed
