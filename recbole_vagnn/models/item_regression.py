"""The closed form of EASE: the ridge regression of every item on all others, from one Cholesky factor."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import lapack

from recbole_vagnn.errors import InputError

_BLOCK = 1024  # rows at a time, where a whole pass would need a second matrix


def item_regression_weights(rows: sp.csr_matrix, reg_weight: float) -> NDArray[np.float32]:
    r"""B of :math:`\min_B \|X - X B\|_F^2 + \lambda \|B\|_F^2` with a diagonal of 0 (Steck, WWW 2019, equation 8).

    :math:`B_{ij} = -P_{ij} / P_{jj}`, :math:`P = (X^\top X + \lambda I)^{-1}`. The matrix is positive definite, so its
    Cholesky factor gives P for about a quarter of the time of a general inverse, and in the memory of the matrix.

    Args:
        rows: X, (n_rows, n_items).
        reg_weight: λ > 0.

    Returns:
        B, (n_items, n_items) float32.

    Raises:
        InputError: λ is so small that the matrix is singular to the precision of float32.
    """
    matrix = _gram(rows)
    matrix.flat[:: len(matrix) + 1] += np.float32(reg_weight)
    # The transposed view is in Fortran's order: LAPACK works in place on it.
    factor, failed = lapack.spotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
    if not failed:
        factor, failed = lapack.spotri(factor, lower=0, overwrite_c=1)
    if failed:
        raise InputError(
            f"XᵀX + λI of {len(matrix):,} items is singular at `reg_weight` {reg_weight:g}, to the precision of "
            f"float32. Raise `reg_weight`."
        )
    inverse = factor.T  # its lower triangle is P's
    _copy_lower_triangle(inverse)
    inverse /= -np.diag(inverse)
    np.fill_diagonal(inverse, 0.0)
    return inverse


def _gram(rows: sp.csr_matrix) -> NDArray[np.float32]:
    """XᵀX, dense; a sparse one could take twice its memory beside it."""
    rows = rows.astype(np.float32)
    columns = rows.T.tocsr()
    gram = np.empty((rows.shape[1], rows.shape[1]), dtype=np.float32)
    for start in range(0, len(gram), _BLOCK):
        (columns[start : start + _BLOCK] @ rows).toarray(out=gram[start : start + _BLOCK])
    return gram


def _copy_lower_triangle(matrix: NDArray[np.float32]) -> None:
    """Mirror what is below the diagonal, in place."""
    for start in range(0, len(matrix), _BLOCK):
        block = slice(start, start + _BLOCK)
        square = np.tril(matrix[block, block])
        matrix[block, block] = square + np.tril(square, -1).T
        matrix[:start, block] = matrix[block, :start].T
