#!/usr/bin/env bash
# run.sh WORK [OPTION...]: remake the table and the plots of docs/QUALITY.md with .build/release/fatezero,
# Models/toyworld and the judge beside this file. WORK keeps clips and edits: an interrupted run goes on. OPTION: of
# `python -m quality`.
set -euo pipefail

work=$(realpath -m "${1:?usage: run.sh WORK [OPTION...]}")
shift
cd "$(dirname "$0")/../.."
mkdir -p "$work"
python=$(Scripts/python-environment.sh "$work/venv-quality" Benchmarks/quality/requirements.txt)
export OMP_NUM_THREADS="${THREADS:-2}" OMP_WAIT_POLICY=passive PYTHONPATH=Benchmarks:Training
"$python" -m quality --work "$work/quality" --threads "$OMP_NUM_THREADS" "$@"
