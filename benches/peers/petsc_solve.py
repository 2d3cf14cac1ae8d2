#!/usr/bin/python3
"""Times PETSc on one system: petsc_solve.py SYSTEM.npz KSP PC REPEATS [PETSc options] [look].

One thread. The residual that PETSc watches is the true one (right preconditioning, or the
unpreconditioned norm). Prints one JSON line; the times are
seconds, reading left out: of wall clock, and of processor time, which holds on a busy machine.
"""
import glob
import json
import sys
import time

import numpy as np

for found in glob.glob("/usr/lib/petscdir/petsc*/*-real/lib/python3/dist-packages"):
    sys.path.insert(0, found)
import petsc4py  # noqa: E402

# Not PETSc's: watch the residual in every iteration, which PETSc's SOR leaves out otherwise.
LOOK = "look" in sys.argv[5:]
petsc4py.init(["petsc_solve"] + [word for word in sys.argv[5:] if word != "look"])
from petsc4py import PETSc  # noqa: E402


def solver(matrix, ksp_type, pc_type):
    ksp = PETSc.KSP().create()
    ksp.setOperators(matrix)
    ksp.setType(ksp_type)
    ksp.getPC().setType(pc_type)
    if ksp_type in ("gmres", "bcgs"):
        ksp.setPCSide(PETSc.PC.Side.RIGHT)
    elif ksp_type != "preonly":
        ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(rtol=1e-8, atol=1e-300, max_it=20_000)
    ksp.setFromOptions()
    if LOOK:
        ksp.setMonitor(lambda ksp, iteration, norm: None)
    return ksp


def main():
    path, ksp_type, pc_type, repeats = sys.argv[1:5]
    arrays = np.load(path)
    rhs = arrays["b"].astype(float)
    order = len(rhs)
    csr = (arrays["indptr"].astype(np.int32), arrays["indices"].astype(np.int32), arrays["data"])
    matrix = PETSc.Mat().createAIJ(size=(order, order), csr=csr)
    matrix.assemble()
    if ksp_type == "cg":
        matrix.setOption(PETSc.Mat.Option.SPD, True)
    if pc_type == "cholesky":
        matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    b = PETSc.Vec().createWithArray(rhs)
    x = b.duplicate()
    set_ups, solves, processor = [], [], []
    for _ in range(int(repeats)):
        started, processor_started = time.perf_counter(), time.process_time()
        ksp = solver(matrix, ksp_type, pc_type)
        ksp.setUp()
        set_ups.append(time.perf_counter() - started)
        x.set(0.0)
        ksp.solve(b, x)
        solves.append(time.perf_counter() - started)
        processor.append(time.process_time() - processor_started)
        iterations = ksp.getIterationNumber()
        ksp.destroy()
    residual = b.duplicate()
    matrix.mult(x, residual)
    residual.aypx(-1.0, b)
    print(
        json.dumps(
            {
                "solve": float(np.median(solves)),
                "solve_processor": float(np.median(processor)),
                "set_up": float(np.median(set_ups)),
                "iterations": max(iterations, 1),
                "relative_residual": residual.norm() / b.norm(),
            }
        )
    )


main()
