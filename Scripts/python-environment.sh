#!/usr/bin/env bash
# python-environment.sh FOLDER REQUIREMENTS: print the Python to use. $PYTHON if set, else that of a virtual
# environment in FOLDER, made and filled as needed.
set -euo pipefail

folder=$1 requirements=$2
if [[ -n "${PYTHON:-}" ]]; then
  echo "$PYTHON"
  exit
fi
if ! cmp --silent "$requirements" "$folder/requirements.txt"; then
  python3 -m venv "$folder" >&2 \
    || { echo "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
  "$folder/bin/pip" install --quiet --requirement "$requirements" >&2
  cp "$requirements" "$folder/requirements.txt"
fi
echo "$folder/bin/python"
