"""The normalised adjacency of RecBole's LightGCN and NGCF, without a Python loop over interactions."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def recbole_adjacency(interactions: sp.coo_matrix) -> sp.coo_matrix:
    """D^-1/2 A D^-1/2 with RecBole's values in RecBole's order, bit for bit.

    RecBole fills a dictionary of (row, column) pairs: a repeated interaction counts once, where it first occurs. It
    adds 1e-7 to the degrees. The order of the entries matters where a number is drawn for each (NGCF's dropout of
    edges), so scipy does the multiplication here too.

    Args:
        interactions: (n_users, n_items), one entry an interaction.

    Returns:
        (n, n) float64, n = n_users + n_items, users first.
    """
    n_users, n_items = interactions.shape
    n = n_users + n_items
    pairs = interactions.row.astype(np.int64) * n_items + interactions.col
    first = np.sort(np.unique(pairs, return_index=True)[1])
    users, items = interactions.row[first], interactions.col[first] + n_users
    rows, columns = np.concatenate([users, items]), np.concatenate([items, users])
    entries = sp.coo_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(n, n))
    entries.has_canonical_format = True  # none is double; scipy would sort each row's entries to find out
    adjacency = entries.tocsr()
    scale = sp.diags(np.power(np.bincount(rows, minlength=n) + 1e-7, -0.5))
    return sp.coo_matrix(scale * adjacency * scale)
