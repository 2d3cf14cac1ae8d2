#!/usr/bin/env bash
# Races weir against SciPy, and PETSc where it is installed, on the same files in one run.
#
#   benches/peers.sh          all systems (about 15 minutes)
#   benches/peers.sh a e      some of them
#
# Needs python3 with venv; benches/peers/install.sh says what else is used where it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
work=target/peers
ready=$(benches/peers/install.sh)
python=$(awk -F'\t' '$1 == "python" {print $2}' <<<"$ready")
petsc=$(awk -F'\t' '$1 == "petsc" {print $2}' <<<"$ready")

bench=$(cargo bench --locked --no-run --bench cold_solve --message-format=json 2>/dev/null |
  python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("target", {}).get("name") == "cold_solve" and message.get("executable"):
        print(message["executable"])')

if [ ! -f "$work/systems/g.mtx" ]; then
  "$bench" --write "$work/systems"
fi
"$python" benches/peers/race.py --weir "$bench" --systems "$work/systems" ${petsc:+--petsc "$petsc"} "$@"
