#!/usr/bin/env python3
"""Times a peer on one system, cold and kept solved under changes of b.

keep_solved.py LIBRARY METHOD PRECONDITIONER SYSTEM.csr SECONDS [CHANGES ...]

LIBRARY is petsc (METHOD and PRECONDITIONER are its ksp and pc), scipy, pyamg or pardiso. SYSTEM.csr holds
u64 n, u64 entries, u32 pointers, u32 columns, f64 values, f64 b. A CHANGES file holds u64 rounds, u64
changes in a round, u32 rows, f64 new values of b. After each round the system is solved again from the
x there was, until ‖b − A x‖₂ ≤ 1e-8 ‖b‖₂ holds for the true residual; that look is not in the times.
SECONDS bound the rounds of each file. Prints one JSON line; times are seconds of processor time.
"""
import glob
import json
import sys
import time

for found in glob.glob("/usr/lib/petscdir/petsc*/*-real/lib/python3/dist-packages"):
    sys.path.insert(0, found)

import numpy as np  # noqa: E402

TOLERANCE = 1e-8
ROUNDS_MIN = 3
COLD_TURNS = 3
COLD_SECONDS = 20.0


def read_system(path):
    with open(path, "rb") as file:
        order, entries = (int(value) for value in np.fromfile(file, np.uint64, 2))
        pointers = np.fromfile(file, np.uint32, order + 1).astype(np.int32)
        columns = np.fromfile(file, np.uint32, entries).astype(np.int32)
        return pointers, columns, np.fromfile(file, np.float64, entries), np.fromfile(file, np.float64, order)


def read_changes(path):
    with open(path, "rb") as file:
        rounds, count = (int(value) for value in np.fromfile(file, np.uint64, 2))
        rows = np.fromfile(file, np.uint32, rounds * count).reshape(rounds, count)
        return rows, np.fromfile(file, np.float64, rounds * count).reshape(rounds, count)


class Petsc:
    """PETSc, with the residual that it watches the true one."""

    def __init__(self, method, preconditioner, arrays):
        import petsc4py

        petsc4py.init(["keep_solved"])
        from petsc4py import PETSc

        self.petsc = PETSc
        pointers, columns, values, b = arrays
        self.method, self.preconditioner, order = method, preconditioner, len(b)
        self.matrix = PETSc.Mat().createAIJ(size=(order, order), csr=(pointers, columns, values))
        self.matrix.assemble()
        if method == "cg":
            self.matrix.setOption(PETSc.Mat.Option.SPD, True)
        self.left = PETSc.Vec().createWithArray(np.zeros(order))
        self.right = PETSc.Vec().createWithArray(np.zeros(order))

    def set_up(self):
        self.ksp = self.petsc.KSP().create()
        self.ksp.setOperators(self.matrix)
        self.ksp.setType(self.method)
        self.ksp.getPC().setType(self.preconditioner)
        if self.method in ("gmres", "bcgs"):
            self.ksp.setPCSide(self.petsc.PC.Side.RIGHT)
        elif self.method != "preonly":
            self.ksp.setNormType(self.petsc.KSP.NormType.UNPRECONDITIONED)
        self.ksp.setInitialGuessNonzero(True)
        self.ksp.setUp()

    def solve(self, b, x, threshold):
        """Works on x in place; iterations."""
        self.ksp.setTolerances(rtol=1e-300, atol=threshold, max_it=20_000)
        self.right.placeArray(b)
        self.left.placeArray(x)
        self.ksp.solve(self.right, self.left)
        self.right.resetArray()
        self.left.resetArray()
        return self.ksp.getIterationNumber()

    def residual(self, b, x):
        self.right.placeArray(x)
        product = self.matrix.createVecLeft()
        self.matrix.mult(self.right, product)
        self.right.resetArray()
        return float(np.linalg.norm(b - product.getArray()))


class Scipy:
    """SciPy's Krylov methods with the diagonal as preconditioner."""

    def __init__(self, method, preconditioner, arrays):
        import scipy.sparse as sparse
        import scipy.sparse.linalg as linalg

        pointers, columns, values, b = arrays
        self.linalg, self.method = linalg, method
        self.matrix = sparse.csr_matrix((values, columns, pointers), (len(b), len(b)))

    def set_up(self):
        inverse = 1.0 / self.matrix.diagonal()
        order = len(inverse)
        self.operator = self.linalg.LinearOperator((order, order), matvec=lambda r: inverse * r)

    def solve(self, b, x, threshold):
        iterations = 0

        def count(_):
            nonlocal iterations
            iterations += 1

        method = getattr(self.linalg, self.method)
        x[:], _ = method(
            self.matrix, b, x0=x, rtol=0.0, atol=threshold, maxiter=20_000, M=self.operator, callback=count
        )
        return iterations

    def residual(self, b, x):
        return float(np.linalg.norm(b - self.matrix @ x))


class Pyamg(Scipy):
    """pyamg: smoothed aggregation (sa) or Ruge and Stüben (rs), inside a Krylov method."""

    def __init__(self, method, preconditioner, arrays):
        super().__init__(method, preconditioner, arrays)
        self.kind = preconditioner

    def set_up(self):
        import pyamg

        if self.kind == "rs":
            self.levels = pyamg.ruge_stuben_solver(self.matrix, max_coarse=500)
        else:
            symmetry = "symmetric" if self.method == "cg" else "nonsymmetric"
            self.levels = pyamg.smoothed_aggregation_solver(self.matrix, symmetry=symmetry, max_coarse=500)

    def solve(self, b, x, threshold):
        residuals = []
        tolerance = threshold / np.linalg.norm(b)
        x[:] = self.levels.solve(b, x0=x, tol=tolerance, accel=self.method, residuals=residuals, maxiter=300)
        return len(residuals) - 1


class Pardiso(Scipy):
    """MKL PARDISO: factors once, solves whole."""

    def set_up(self):
        import pypardiso

        self.solver = pypardiso.PyPardisoSolver(mtype=11)
        self.solver.factorize(self.matrix)

    def solve(self, b, x, threshold):
        x[:] = self.solver.solve(self.matrix, b)
        return 1


class Clocked:
    """Solves until the true residual is small enough; `strictness` is what the method needs for it."""

    def __init__(self, peer):
        self.peer, self.strictness = peer, 1.0

    def solve(self, b, x):
        goal = TOLERANCE * float(np.linalg.norm(b))
        while True:
            work = x.copy()
            started = time.process_time()
            iterations = self.peer.solve(b, work, self.strictness * goal)
            took = time.process_time() - started
            residual = self.peer.residual(b, work)
            if residual <= goal:
                x[:] = work
                return took, iterations, residual / goal * TOLERANCE
            if self.strictness < 1e-3:
                raise RuntimeError(f"residual {residual / goal:.1e} of what is asked for")
            self.strictness *= 0.7


def keep_solved(clocked, b, x, path, seconds):
    rows, values = read_changes(path)
    b, x = b.copy(), x.copy()
    taken, iterations, began = [], [], time.process_time()
    for changed, new in zip(rows, values):
        b[changed] = new
        took, steps, _ = clocked.solve(b, x)
        taken.append(took)
        iterations.append(steps)
        if time.process_time() - began > seconds and len(taken) >= ROUNDS_MIN:
            break
    return {"changes": rows.shape[1], "seconds": taken, "iterations": float(np.mean(iterations))}


def main():
    library, method, preconditioner, system, seconds, *changes = sys.argv[1:]
    kinds = {"petsc": Petsc, "scipy": Scipy, "pyamg": Pyamg, "pardiso": Pardiso}
    arrays = read_system(system)
    b = arrays[3]
    peer = kinds[library](method, preconditioner, arrays)
    clocked = Clocked(peer)
    cold, began = [], time.process_time()
    while len(cold) < COLD_TURNS and (not cold or time.process_time() - began < COLD_SECONDS):
        started = time.process_time()
        peer.set_up()
        set_up = time.process_time() - started
        x = np.zeros(len(b))
        took, iterations, residual = clocked.solve(b, x)
        cold.append(set_up + took)
    kept = [keep_solved(clocked, b, x, path, float(seconds)) for path in changes]
    found = {"cold": cold, "set_up": set_up, "iterations": iterations, "relative_residual": residual}
    print(json.dumps({**found, "kept": kept}))


main()
