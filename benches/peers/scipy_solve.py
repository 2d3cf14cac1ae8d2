#!/usr/bin/env python3
"""Times SciPy on one system: scipy_solve.py SYSTEM.npz METHOD VARIANT REPEATS.

METHOD is cg, bicgstab, gmres (VARIANT: none or jacobi) or direct (VARIANT: a column ordering of
SuperLU). Prints one JSON line; the times are seconds, reading left out:
of wall clock, and of processor time, which holds on a busy machine.
"""
import json
import sys
import time

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg


def load(path):
    arrays = np.load(path)
    order = len(arrays["b"])
    matrix = sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), (order, order))
    return matrix, arrays["b"]


def iterative(matrix, b, method, preconditioner):
    iterations = 0

    def count(_):
        nonlocal iterations
        iterations += 1

    started = time.perf_counter()
    order = len(b)
    operator = None
    if preconditioner == "jacobi":
        inverse = 1.0 / matrix.diagonal()
        operator = linalg.LinearOperator((order, order), matvec=lambda r: inverse * r)
    set_up = time.perf_counter() - started
    extra = {"restart": 50, "callback_type": "pr_norm"} if method == "gmres" else {}
    limit = 400 if method == "gmres" else 20_000
    x, _ = getattr(linalg, method)(
        matrix, b, rtol=1e-8, atol=0.0, maxiter=limit, M=operator, callback=count, **extra
    )
    return x, set_up, time.perf_counter() - started, iterations


def direct(matrix, b, ordering):
    started = time.perf_counter()
    factors = linalg.splu(matrix.tocsc(), permc_spec=ordering)
    set_up = time.perf_counter() - started
    x = factors.solve(b)
    return x, set_up, time.perf_counter() - started, 1


def run(matrix, b, method, variant):
    return direct(matrix, b, variant) if method == "direct" else iterative(matrix, b, method, variant)


def main():
    path, method, variant, repeats = sys.argv[1:5]
    # What Python loads late is loaded on a system that does not count.
    run(sparse.identity(10, format="csr") * 2.0, np.ones(10), method, variant)
    matrix, b = load(path)
    runs, processor = [], []
    for _ in range(int(repeats)):
        started = time.process_time()
        runs.append(run(matrix, b, method, variant))
        processor.append(time.process_time() - started)
    x, _, _, iterations = runs[-1]
    print(
        json.dumps(
            {
                "solve": float(np.median([took for _, _, took, _ in runs])),
                "solve_processor": float(np.median(processor)),
                "set_up": float(np.median([set_up for _, set_up, _, _ in runs])),
                "iterations": iterations,
                "relative_residual": float(np.linalg.norm(b - matrix @ x) / np.linalg.norm(b)),
            }
        )
    )


main()
