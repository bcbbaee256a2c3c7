#!/usr/bin/env bash
# Train Toy World: train.sh WORK [OUT]. Every stage goes on from its checkpoint in WORK, so running it again after an
# interruption continues it. The minutes are wall time given to a stage in this run, set for two processor cores;
# README.md has those for a GPU.
set -euo pipefail

work=$(realpath -m "${1:?usage: train.sh WORK [OUT]}")
out=${2:+$(realpath -m "$2")}
cd "$(dirname "$0")"
mkdir -p "$work"
python=$(../Scripts/python-environment.sh "$work/venv" requirements.txt)
# Threads that sleep while they wait: a second process on the same cores slows both far more than by half.
export OMP_NUM_THREADS="${THREADS:-2}" OMP_WAIT_POLICY=passive
# Memory that is given back to the system after every step is fetched again page by page: a third of the time.
export MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=100000000

run() {
  nice -n 19 "$python" -m "$@"
}

run toyworld.dataset "$work" --shards "${SHARDS:-24}"
run toyworld.autoencoder "$work" --minutes "${AUTOENCODER_MINUTES:-240}" --batch "${AUTOENCODER_BATCH:-16}" \
  --threads "$OMP_NUM_THREADS"
run toyworld.diffusion "$work" --minutes "${MINUTES:-900}" --cooldown "${COOLDOWN:-300}" --batch "${BATCH:-64}" \
  --threads "$OMP_NUM_THREADS"
run toyworld.classifier "$work" --minutes "${JUDGE_MINUTES:-40}" --batch "${JUDGE_BATCH:-64}" \
  --threads "$OMP_NUM_THREADS"
if [[ -n "$out" ]]; then
  run toyworld.assemble "$work/model" "$out"
  run toyworld.evaluate "$out" "$work" --threads "$OMP_NUM_THREADS"
fi
