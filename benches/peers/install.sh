#!/usr/bin/env bash
# Makes the peers ready under target/peers and prints one line `name<TAB>program` for each that there is;
# what is missing is said on the error output, with what would bring it.
#
#   python     a venv with numpy, SciPy, pyamg and PARDISO (pypardiso)
#   petsc      a Python that has petsc4py with hypre: apt-get install python3-petsc4py-real
#   eigen      keep_solved.cpp: apt-get install libeigen3-dev
#   factors    factors.c, CHOLMOD and KLU: apt-get install libsuitesparse-dev
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$PWD/target/peers
mkdir -p "$work"

if [ ! -x "$work/venv/bin/python" ]; then
  python3 -m venv "$work/venv" >&2
fi
for package in numpy scipy pyamg pypardiso; do
  if ! "$work/venv/bin/python" -c "import $package" 2>/dev/null; then
    "$work/venv/bin/pip" install --quiet "$package" >&2 || echo "$package cannot be installed and is left out" >&2
  fi
done
if "$work/venv/bin/python" -c 'import numpy, scipy' 2>/dev/null; then
  printf 'python\t%s\n' "$work/venv/bin/python"
fi

if /usr/bin/python3 - <<'PYTHON' 2>/dev/null
import glob, sys
sys.path[:0] = glob.glob("/usr/lib/petscdir/petsc*/*-real/lib/python3/dist-packages")
import numpy, petsc4py
PYTHON
then
  printf 'petsc\t%s\n' /usr/bin/python3
else
  echo "PETSc is not installed and left out: apt-get install python3-petsc4py-real" >&2
fi

build() {
  local name=$1 source=$2
  shift 2
  if [ ! -x "$work/$name" ] || [ "$source" -nt "$work/$name" ]; then
    "$@" -o "$work/$name" 2>"$work/$name.log" || {
      echo "$name cannot be built and is left out: see target/peers/$name.log" >&2
      return
    }
  fi
  printf '%s\t%s\n' "$name" "$work/$name"
}
build eigen benches/peers/keep_solved.cpp g++ -O3 -march=native -I/usr/include/eigen3 benches/peers/keep_solved.cpp
build factors benches/peers/factors.c gcc -O3 -I/usr/include/suitesparse benches/peers/factors.c -lcholmod -lklu -lm
