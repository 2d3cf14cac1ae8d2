#!/usr/bin/env python3
"""Races weir against SciPy and PETSc with the same method on the same files, taking turns.

race.py --weir BENCH_BINARY --systems DIRECTORY [--petsc PYTHON] [letters …]

In each round every contender solves once in a process of its own (several times over where a solve is
short; the median counts); the table holds each contender's best round, because neighbours on the machine
only ever add. With one thread processor time is compared; with two, wall time is shown. A ratio below 1 means that weir
(one thread, set-up and iterations) is faster. A contender whose true relative residual misses 1e-8 is marked and has no ratio.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import scipy.io

HERE = pathlib.Path(__file__).parent
TOLERANCE = 1e-8

# PETSc's Gauss-Seidel looks at no residual unless a monitor is set (`look`). It runs both ways: looking,
# as everyone else must to know when to stop, and told a number of sweeps that suffices.
# system, weir's method and preconditioner, SciPy's method and variant, PETSc's KSP, PC and options
RACES = [
    ("a", "bicgstab jacobi", "bicgstab jacobi", "bcgs jacobi"),
    ("a", "bicgstab ilu", None, "bcgs ilu"),
    ("a", "gmres jacobi", "gmres jacobi", "gmres jacobi -ksp_gmres_restart 50"),
    ("a", "jacobi", None, "richardson jacobi"),
    ("a", "gauss_seidel", None, "richardson sor -pc_sor_local_forward look"),
    ("a", "gauss_seidel", None, "richardson sor -pc_sor_local_forward -ksp_max_it 16"),
    ("a", "hybrid", "bicgstab jacobi", "bcgs jacobi"),
    ("b", "bicgstab jacobi", "bicgstab jacobi", "bcgs jacobi"),
    ("b", "bicgstab ilu", None, "bcgs ilu"),
    ("b", "gauss_seidel", None, "richardson sor -pc_sor_local_forward look"),
    ("b", "gauss_seidel", None, "richardson sor -pc_sor_local_forward -ksp_max_it 17"),
    ("b", "hybrid", "bicgstab jacobi", "bcgs ilu"),
    ("c", "cg jacobi", "cg jacobi", "cg jacobi"),
    ("c", "cg ilu", None, "cg icc"),
    ("c", "direct", "direct MMD_AT_PLUS_A", "preonly cholesky -pc_factor_mat_ordering_type nd"),
    ("c", "cg amg", None, "cg hypre -pc_hypre_type boomeramg"),
    ("c", "cg amg", None, "cg gamg"),
    ("c", "hybrid", "direct MMD_AT_PLUS_A", "cg hypre -pc_hypre_type boomeramg"),
    ("d", "cg jacobi", "cg jacobi", "cg jacobi"),
    ("d", "cg ilu", None, "cg icc"),
    ("d", "cg amg", None, "cg hypre -pc_hypre_type boomeramg"),
    ("d", "cg amg", None, "cg gamg"),
    ("d", "hybrid", "cg jacobi", "cg hypre -pc_hypre_type boomeramg"),
    ("e", "direct", "direct MMD_AT_PLUS_A", "preonly lu -pc_factor_mat_ordering_type nd"),
    ("e", "direct", "direct COLAMD", "preonly lu -pc_factor_mat_ordering_type qmd"),
    ("e", "hybrid", "direct MMD_AT_PLUS_A", "preonly lu -pc_factor_mat_ordering_type nd"),
    ("g", "bicgstab amg", None, "bcgs hypre -pc_hypre_type boomeramg"),
    ("g", "hybrid", "bicgstab jacobi", "bcgs hypre -pc_hypre_type boomeramg"),
]
REPEATS = {"a": 21, "b": 1, "c": 1, "d": 1, "e": 21, "g": 3}
ROUNDS = {"a": 5, "b": 3, "c": 1, "d": 3, "e": 5, "g": 3}


def arrays_of(directory, letter):
    """The system's arrays for Python, converted once from the same file that weir reads."""
    converted = directory / f"{letter}.npz"
    if not converted.exists():
        matrix = scipy.io.mmread(directory / f"{letter}.mtx").tocsr()
        matrix.sort_indices()
        b = np.asarray(scipy.io.mmread(directory / f"{letter}_b.mtx"), float).ravel()
        np.savez(converted, indptr=matrix.indptr, indices=matrix.indices, data=matrix.data, b=b)
    return converted


def measured(command, threads):
    environment = os.environ | {
        "RAYON_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=240, check=True
        )
        return json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"failed": "more than 240 s"}
    except (subprocess.CalledProcessError, json.JSONDecodeError, IndexError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        return {"failed": said[-1][:60] if said else "failed"}


def contenders(options, race):
    letter, weir, scipy_method, petsc = race
    repeats = str(REPEATS[letter])
    method, *preconditioner = weir.split()
    file = str(options.systems / f"{letter}.mtx")
    weir_command = [options.weir, "--file", file, "--method", method, "--repeats", repeats]
    if preconditioner:
        weir_command += ["--preconditioner", preconditioner[0]]
    everyone = {"weir, 1 thread": (weir_command, 1), "weir, 2 threads": (weir_command, 2)}
    arrays = str(arrays_of(options.systems, letter))
    if scipy_method:
        name, variant = scipy_method.split()
        script = str(HERE / "scipy_solve.py")
        everyone["SciPy"] = ([sys.executable, script, arrays, name, variant, repeats], 1)
    if petsc and options.petsc:
        ksp, pc, *extra = petsc.split()
        script = str(HERE / "petsc_solve.py")
        everyone["PETSc"] = ([options.petsc, script, arrays, ksp, pc, repeats, *extra], 1)
    return everyone


def run_race(options, race):
    everyone = contenders(options, race)
    found = {name: [] for name in everyone}
    for _ in range(options.rounds or ROUNDS[race[0]]):
        for name, (command, threads) in everyone.items():
            if not any("failed" in result for result in found[name]):
                found[name].append(measured(command, threads))
    return {
        name: summary(results, "solve" if "2 threads" in name else "solve_processor")
        for name, results in found.items()
    }


def summary(results, clock):
    failed = [result["failed"] for result in results if "failed" in result]
    if failed:
        return {"failed": failed[0]}
    last = results[-1]
    if not last["relative_residual"] <= TOLERANCE * 1.001:
        return {"failed": f"residual {last['relative_residual']:.0e}"}
    return {
        "solve": min(result[clock] for result in results),
        "iterations": last["iterations"],
    }


def cell(result):
    if result is None:
        return "–"
    if "failed" in result:
        return result["failed"]
    return f"{result['solve'] * 1e3:.3g} ms ({result['iterations']})"


def ratio(weir, peer):
    if peer is None or "failed" in peer or "failed" in weir:
        return "–"
    return f"{weir['solve'] / peer['solve']:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weir", required=True)
    parser.add_argument("--systems", type=pathlib.Path, required=True)
    parser.add_argument("--petsc", help="a Python that has petsc4py")
    parser.add_argument("--rounds", type=int, help="rounds of each race, instead of what suits")
    parser.add_argument("letters", nargs="*")
    options = parser.parse_args()
    print("| system | weir | SciPy | PETSc | weir 1 thread | weir 2 threads | SciPy | PETSc | ratio to SciPy | ratio to PETSc |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for race in RACES:
        if options.letters and race[0] not in options.letters:
            continue
        results = run_race(options, race)
        one = results["weir, 1 thread"]
        scipy_result, petsc_result = results.get("SciPy"), results.get("PETSc")
        cells = [race[0], race[1], race[2] or "–", race[3] or "–", cell(one)]
        cells += [cell(results["weir, 2 threads"]), cell(scipy_result), cell(petsc_result)]
        cells += [ratio(one, scipy_result), ratio(one, petsc_result)]
        print("| " + " | ".join(cells) + " |", flush=True)


main()
