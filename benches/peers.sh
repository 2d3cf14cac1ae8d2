#!/usr/bin/env bash
# Races weir against SciPy, and PETSc where it is installed, on the same files in one run.
#
#   benches/peers.sh          all systems (about 15 minutes)
#   benches/peers.sh a e      some of them
#
# Needs python3 with venv; SciPy goes into target/peers. For PETSc (Debian, Ubuntu):
#   apt-get install python3-petsc4py-real
set -euo pipefail
cd "$(dirname "$0")/.."
work=target/peers
mkdir -p "$work"

if [ ! -x "$work/venv/bin/python" ]; then
  python3 -m venv "$work/venv"
fi
if ! "$work/venv/bin/python" -c 'import scipy' 2>/dev/null; then
  "$work/venv/bin/pip" install --quiet numpy scipy
fi

petsc=()
if /usr/bin/python3 - <<'PYTHON' 2>/dev/null
import glob, sys
sys.path[:0] = glob.glob("/usr/lib/petscdir/petsc*/*-real/lib/python3/dist-packages")
import numpy, petsc4py
PYTHON
then
  petsc=(--petsc /usr/bin/python3)
else
  echo "PETSc is not installed and left out: apt-get install python3-petsc4py-real" >&2
fi

bench=$(cargo bench --locked --no-run --bench cold_solve --message-format=json 2>/dev/null |
  python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("target", {}).get("name") == "cold_solve" and message.get("executable"):
        print(message["executable"])')

if [ ! -f "$work/systems/g.mtx" ]; then
  "$bench" --write "$work/systems"
fi
"$work/venv/bin/python" benches/peers/race.py --weir "$bench" --systems "$work/systems" "${petsc[@]}" "$@"
