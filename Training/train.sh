#!/bin/sh
# Train Toy World from nothing: train.sh WORK [OUT]. Every stage goes on from its checkpoint in WORK, so running it
# again after an interruption continues it; MINUTES is the wall time given to the diffusion model in this run.
set -eu

work=$(realpath -m "${1:?usage: train.sh WORK [OUT]}")
out=${2:+$(realpath -m "$2")}
python=${PYTHON:-python3}
cd "$(dirname "$0")"
# Two threads that sleep while they wait: a second process on the same cores slows both far more than by half.
export OMP_NUM_THREADS="${THREADS:-2}" OMP_WAIT_POLICY=passive

run() {
  nice -n 19 "$python" -m "$@"
}

run toyworld.dataset "$work" --shards "${SHARDS:-16}"
run toyworld.autoencoder "$work" --steps "${AUTOENCODER_STEPS:-2500}" --threads "$OMP_NUM_THREADS"
run toyworld.diffusion "$work" --minutes "${MINUTES:-300}" --threads "$OMP_NUM_THREADS"
if [ -n "$out" ]; then
  run toyworld.assemble "$work/model" "$out"
fi
