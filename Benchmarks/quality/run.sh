#!/usr/bin/env bash
# run.sh WORK: remake the table and the plots of docs/QUALITY.md with .build/release/fatezero and Models/toyworld. WORK
# is a folder of Training/train.sh: its frames and judge are used, and made if they are missing.
set -euo pipefail

work=$(realpath -m "${1:?usage: run.sh WORK}")
cd "$(dirname "$0")/../.."
mkdir -p "$work"
python=$(Scripts/python-environment.sh "$work/venv-quality" Benchmarks/quality/requirements.txt)
export OMP_NUM_THREADS="${THREADS:-2}" OMP_WAIT_POLICY=passive PYTHONPATH=Benchmarks:Training

if [[ ! -e "$work/classifier.pt" ]]; then
  "$python" -m toyworld.dataset "$work" --shards 12
  "$python" -m toyworld.classifier "$work" --minutes "${CLASSIFIER_MINUTES:-20}" --threads "$OMP_NUM_THREADS"
fi
"$python" -m quality --work "$work/quality" --judge "$work" --threads "$OMP_NUM_THREADS"
