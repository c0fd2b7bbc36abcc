#!/usr/bin/env bash
# Installs the Python client into its own environment and runs its checks against the real server.
# Usage: test/python.sh [arguments of pytest]. Needs Python >= 3.10 and a build (npm run build).
set -euo pipefail
cd "$(dirname "$0")/../python"

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
  found=$("$python" -V 2>&1) || found="nothing that runs"
  echo "test/python.sh: needs Python >= 3.10, but $python is $found; set PYTHON" >&2
  exit 1
fi

stamp=.venv/requirements
wanted=$("$python" -V; cat requirements-dev.txt pyproject.toml)
if [[ ! -f $stamp || $(<"$stamp") != "$wanted" ]]; then
  rm -rf .venv
  "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
  # one module of it is under test; its own requirements need a GPU
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps axolotl==0.19.0
  # editable: the tests see the code as it is
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --editable .
  printf '%s\n' "$wanted" > "$stamp"
fi

.venv/bin/ruff check --config pyproject.toml . ../examples
.venv/bin/ruff format --config pyproject.toml --check . ../examples
# all tests: one process more than there are cores, as many wait for a server, each with whole files,
# since those share servers and data sets
if [[ $# == 0 ]]; then
  processes=$(($(getconf _NPROCESSORS_ONLN) + 1))
  set -- --numprocesses "$processes" --dist loadfile --no-loadscope-reorder
  export OMP_NUM_THREADS=1
fi
.venv/bin/python -m pytest "$@"
