#!/usr/bin/env bash
# corpus.sh [TARGET]...: folds what `make fuzz` has found into Tests/Fixtures/fuzz: of that and what is there, few small inputs
# that reach as much code as libFuzzer can tell. A file whose name is a word, unlike libFuzzer's own, is a seed (seeds.py) or has
# broken something once, and stays.
set -euo pipefail
cd "$(dirname "$0")/.."

fuzzer=.build-fuzz/release/Fuzzer frei0r=.build-fuzz/frei0r
# Of each target; all together stay below 2 MB.
most_bytes=100000 most_files=250
export SWIFT_BACKTRACE=enable=no
scratch=$(mktemp -d /dev/shm/fatezero-corpus.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch

python3 Fuzz/seeds.py
for target in ${*:-$({ "$fuzzer"; echo frei0r; } | cut -d ' ' -f 1)}; do
  program=$fuzzer
  [[ $target != frei0r ]] || program=$frei0r
  corpus=Tests/Fixtures/fuzz/$target
  mkdir -p "$scratch/$target" "$corpus" ".build-fuzz/work/$target/corpus"
  FUZZ_TARGET=$target "$program" -merge=1 -close_fd_mask=3 -timeout=5 -rss_limit_mb=2048 "$scratch/$target" \
    "$corpus" ".build-fuzz/work/$target/corpus" 2>"$scratch/log" || { tail -n 20 "$scratch/log" >&2; exit 1; }
  find "$corpus" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
  # The smallest first; what stays need not be there twice.
  find "$scratch/$target" -type f ! -name "$(sha1sum "$corpus"/* | sed 's/ .*//' | paste -sd '|')" -printf '%s %p\n' | sort -n | head -n $most_files \
    | awk -v most=$most_bytes '(total += $1) <= most { print $2 }' | xargs -r cp -t "$corpus"
  printf '%-16s %6d files %8d bytes\n' "$target" "$(find "$corpus" -type f | wc -l)" "$(du -b --apparent-size "$corpus" | cut -f 1)"
done
