"""Every kernel of the sparse product against scipy, on every device that is there."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recbole_vagnn.nn import sparse
from recbole_vagnn.nn.sparse import PIECE, Csr, Kernel, Pieces, SparsePair, sparse_product

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
KERNELS = [sparse.bag_product, sparse.split_bag_product, sparse.csr_product]
LENGTHS = [0, 1, PIECE - 1, PIECE, PIECE + 1, 0, 3 * PIECE + 7, 0]  # of rows: empty ones first, last and between


def random_matrix(seed: int = 0) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    n_cols = 4 * PIECE
    columns = np.concatenate([rng.choice(n_cols, size=length, replace=False) for length in LENGTHS])
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    matrix = sp.csr_matrix((rng.normal(size=len(columns)), columns, offsets), shape=(len(LENGTHS), n_cols))
    matrix.sort_indices()
    return matrix


def dense_table(n: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_multiplies(monkeypatch: pytest.MonkeyPatch, kernel: Kernel, wide: bool, device: str) -> None:
    monkeypatch.setitem(sparse.KERNELS, device, kernel)
    matrix, table = random_matrix(), dense_table(4 * PIECE)
    csr = Csr.from_scipy(matrix, torch.float64)
    if wide:
        csr = csr._replace(offsets=csr.offsets.long(), columns=csr.columns.long())
    found = csr.to(device).matmul(table.to(device)).cpu()
    torch.testing.assert_close(found, torch.from_numpy(matrix @ table.numpy()), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_knows_empty_matrices(monkeypatch: pytest.MonkeyPatch, kernel: Kernel, device: str) -> None:
    monkeypatch.setitem(sparse.KERNELS, device, kernel)
    csr = Csr.from_scipy(sp.csr_matrix((3, 4)), torch.float64).to(device)
    assert torch.equal(csr.matmul(dense_table(4).to(device)).cpu(), torch.zeros(3, 5, dtype=torch.float64))


def test_pieces_cover_every_row_in_order_and_none_is_too_long() -> None:
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int32))
    pieces = Pieces.of(offsets)
    assert pieces.first.diff().tolist() == [1, 1, 1, 1, 2, 1, 4, 1]
    assert pieces.offsets[pieces.first.long()].tolist() == offsets.tolist()
    assert 0 <= pieces.offsets.diff().min() <= pieces.offsets.diff().max() == PIECE
    assert pieces.numbers.tolist() == list(range(int(pieces.first[-1])))
    assert {part.dtype for part in pieces} == {torch.int32}


def test_the_kernel_that_wants_pieces_gets_them_when_the_matrix_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    csr = Csr.from_scipy(random_matrix())
    assert csr.to("cpu").pieces is None
    monkeypatch.setitem(sparse.KERNELS, "cpu", sparse.split_bag_product)
    assert csr.to("cpu").pieces is not None


@pytest.mark.parametrize("device", DEVICES)
def test_under_autocast_the_product_stays_in_single_precision(device: str) -> None:
    matrix = random_matrix()
    pair = SparsePair.from_scipy(matrix).to(device)
    table = dense_table(4 * PIECE).to(device, torch.bfloat16).requires_grad_()
    with torch.autocast(device, dtype=torch.bfloat16):
        product = sparse_product(pair, table)
    assert product.dtype == torch.float32
    want = torch.from_numpy(matrix @ table.detach().cpu().double().numpy())
    torch.testing.assert_close(product.cpu().double(), want, rtol=1e-5, atol=1e-5)
    product.sum().backward()
    gradient = torch.from_numpy(np.asarray(matrix.sum(axis=0))).T.expand(-1, 5)
    torch.testing.assert_close(table.grad.cpu().double(), gradient, rtol=1e-2, atol=1e-2)  # rounded to bf16


def test_the_product_is_taken_from_detached_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def kernel(matrix: Csr, dense: torch.Tensor) -> torch.Tensor:
        seen.append(dense.requires_grad)
        return sparse.bag_product(matrix, dense)

    monkeypatch.setitem(sparse.KERNELS, "cpu", kernel)
    table = dense_table(4 * PIECE).requires_grad_()
    sparse_product(SparsePair.from_scipy(random_matrix(), torch.float64), table).sum().backward()
    assert seen == [False, False]
    assert table.grad is not None
