#!/usr/bin/env python3
"""Makes the power-grid systems of this directory: DC power flow B' θ = P with the slack bus removed.

    pip install pandapower==3.5.6 numpy==2.4.6 scipy==1.17.1
    python3 make_grids.py                       # writes NAME.mtx, NAME_b.mtx and prints their facts
    python3 make_grids.py others DIRECTORY      # two more, which are not ours to hand on

B' is the bus susceptance matrix (per unit) that pandapower's DC power flow uses, P the injections minus
phase shifters and shunts, plus what the fixed angle of the slack bus contributes; x is bus angles in
radians. Each system is solved with SciPy and compared with the angles that pandapower itself finds.
"""
import os
import sys

import numpy as np
import pandapower
import pandapower.networks as networks
import scipy
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg
from pandapower.pypower.idx_bus import GS, VA
from pandapower.pypower.makeSbus import makeSbus

HERE = os.path.dirname(os.path.abspath(__file__))
GRIDS = {
    "ieee118": "case118",
    "case300": "case300",
    "case1354pegase": "case1354pegase",
    "case2869pegase": "case2869pegase",
    "case6470rte": "case6470rte",
    "case6515rte": "case6515rte",
    "case9241pegase": "case9241pegase",
}
OTHERS = {"case3120sp": "case3120sp", "gbnetwork": "GBnetwork"}


def system_of(case):
    """Matrix, injections and pandapower's own angles, without the slack bus."""
    net = getattr(networks, case)()
    pandapower.rundcpp(net)
    inside = net._ppc["internal"]
    bus, gen, base_mva = inside["bus"], inside["gen"], inside["baseMVA"]
    susceptance = inside["Bbus"].real.tocsr()
    slack = inside["ref"]
    keep = np.setdiff1d(np.arange(susceptance.shape[0]), slack)
    injected = np.real(makeSbus(base_mva, bus, gen)) - bus[:, GS] / base_mva - inside["Pbusinj"]
    angles = np.deg2rad(bus[:, VA])
    rhs = injected[keep] - susceptance[keep][:, slack] @ angles[slack]
    matrix = susceptance[keep][:, keep].tocsr()
    matrix.sort_indices()
    return matrix, rhs, angles[keep]


def negative_eigenvalues(matrix):
    """Eigenvalues below zero, counted by Sylvester's law of inertia: pivots of a symmetric dense LDLᵀ."""
    _, blocks, _ = scipy.linalg.ldl(matrix.toarray(), lower=True, overwrite_a=True, check_finite=False)
    negative, at = 0, 0
    while at < blocks.shape[0]:
        if at + 1 < blocks.shape[0] and blocks[at + 1, at] != 0.0:
            negative += int((np.linalg.eigvalsh(blocks[at:at + 2, at:at + 2]) < 0).sum())
            at += 2
        else:
            negative += int(blocks[at, at] < 0)
            at += 1
    return negative


def number(value):
    """The shortest digits that read back as the same bits."""
    text = repr(float(value))
    return text[:-2] if text.endswith(".0") else text


def write(directory, name, case, matrix, rhs):
    symmetric = (matrix != matrix.T).nnz == 0
    coo = (sparse.tril(matrix) if symmetric else matrix).tocsr().tocoo()
    about = f"% {case} of pandapower {pandapower.__version__}: DC power flow, slack bus removed. See README.md.\n"
    with open(os.path.join(directory, f"{name}.mtx"), "w") as out:
        out.write(f"%%MatrixMarket matrix coordinate real {'symmetric' if symmetric else 'general'}\n{about}")
        out.write(f"{matrix.shape[0]} {matrix.shape[1]} {coo.nnz}\n")
        for row, col, value in zip(coo.row, coo.col, coo.data):
            out.write(f"{row + 1} {col + 1} {number(value)}\n")
    with open(os.path.join(directory, f"{name}_b.mtx"), "w") as out:
        out.write(f"%%MatrixMarket matrix array real general\n{about}{rhs.size} 1\n")
        out.writelines(f"{number(value)}\n" for value in rhs)
    return symmetric


def main():
    grids, directory = (OTHERS, sys.argv[2]) if sys.argv[1:2] == ["others"] else (GRIDS, HERE)
    for name, case in grids.items():
        matrix, rhs, angles = system_of(case)
        symmetric = write(directory, name, case, matrix, rhs)
        x = linalg.spsolve(matrix.tocsc(), rhs)
        print(
            f"{name}: n={matrix.shape[0]} nnz={matrix.nnz} symmetric to the bit={symmetric}"
            f" negative eigenvalues={negative_eigenvalues(matrix)}"
            f" negative diagonals={(matrix.diagonal() < 0).sum()}"
            f" relative residual={np.linalg.norm(rhs - matrix @ x) / np.linalg.norm(rhs):.1e}"
            f" largest difference from pandapower's angles={np.abs(x - angles).max():.1e} rad",
            flush=True,
        )


if __name__ == "__main__":
    main()
