"""Normalisation, propagation and sparse products against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from recbole_vagnn.nn.propagation import light_propagation, symmetric_normalisation
from recbole_vagnn.nn.sparse import Csr, SparsePair, sparse_product


def random_graph(n_left: int, n_right: int, seed: int) -> sp.csr_matrix:
    """Weighted biadjacency with edge weights 1 to 4; the first and last node of each side have no edges."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 5, (n_left, n_right)) * (rng.random((n_left, n_right)) < 0.4)
    dense[[0, -1]] = 0
    dense[:, [0, -1]] = 0
    return sp.csr_matrix(dense.astype(np.float64))


def dense_norm(matrix: sp.spmatrix) -> np.ndarray:
    """D^-1/2 A D^-1/2 of the whole bipartite graph."""
    m = matrix.toarray()
    n, k = m.shape
    adjacency = np.zeros((n + k, n + k))
    adjacency[:n, n:], adjacency[n:, :n] = m, m.T
    degree = adjacency.sum(1)
    inverse = np.diag([d**-0.5 if d else 0.0 for d in degree])
    return inverse @ adjacency @ inverse


def leaf(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


# -------------------------------------------------------------------------------- normalisation


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("shape", [(7, 9), (9, 4), (3, 3)])
def test_symmetric_normalisation_equals_the_dense_formula(shape: tuple[int, int], seed: int) -> None:
    matrix = random_graph(*shape, seed)
    got = symmetric_normalisation(matrix)
    assert got.shape == shape
    assert got.dtype == np.float64
    np.testing.assert_allclose(got.toarray(), dense_norm(matrix)[: shape[0], shape[0] :], rtol=1e-13)


def test_normalisation_has_the_weights_worked_by_hand() -> None:
    matrix = sp.csr_matrix(np.array([[1.0, 3.0], [0.0, 6.0], [0.0, 0.0]]))
    want = [[1 / np.sqrt(4 * 1), 3 / np.sqrt(4 * 9)], [0, 6 / np.sqrt(6 * 9)], [0, 0]]
    np.testing.assert_allclose(symmetric_normalisation(matrix).toarray(), want, rtol=1e-14)


def test_normalisation_has_spectral_radius_one_and_forgets_the_scale() -> None:
    matrix = random_graph(8, 6, 3)
    norm = symmetric_normalisation(matrix).toarray()
    assert np.linalg.norm(norm, 2) == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(symmetric_normalisation(10 * matrix).toarray(), norm, rtol=1e-13)


def test_normalisation_of_an_empty_matrix_is_empty_and_leaves_its_input_alone() -> None:
    assert symmetric_normalisation(sp.csr_matrix((3, 2))).nnz == 0
    matrix = random_graph(6, 6, 4)
    copy = matrix.copy()
    symmetric_normalisation(matrix)
    assert (matrix != copy).nnz == 0


# ---------------------------------------------------------------------------------- propagation


@pytest.mark.parametrize("n_layers", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_propagation_and_its_gradient_equal_dense_powers(seed: int, n_layers: int) -> None:
    matrix = random_graph(7, 9, seed)
    norm = torch.from_numpy(dense_norm(matrix))
    mean = sum(torch.linalg.matrix_power(norm, k) for k in range(n_layers + 1)) / (n_layers + 1)
    graph = SparsePair.from_scipy(symmetric_normalisation(matrix), torch.float64)
    left, right = leaf(7, 3, 0), leaf(9, 3, 1)
    out = torch.cat(light_propagation(graph, left, right, n_layers))
    torch.testing.assert_close(out, mean @ torch.cat([left, right]), rtol=1e-12, atol=1e-13)
    incoming = torch.randn(16, 3, dtype=torch.float64)
    out.backward(incoming)
    torch.testing.assert_close(torch.cat([left.grad, right.grad]), mean.T @ incoming, rtol=1e-12, atol=1e-13)


def test_gradient_of_one_side_alone_is_right() -> None:
    """The other side's incoming gradient is then missing, and must count as zero."""
    matrix = random_graph(6, 5, 5)
    norm = torch.from_numpy(dense_norm(matrix))
    mean = (torch.eye(11, dtype=torch.float64) + norm + norm @ norm) / 3
    graph = SparsePair.from_scipy(symmetric_normalisation(matrix), torch.float64)
    left, right = leaf(6, 2, 0), leaf(5, 2, 1)
    light_propagation(graph, left, right, 2)[1].square().sum().backward()
    incoming = torch.zeros(11, 2, dtype=torch.float64)
    incoming[6:] = 2 * (mean @ torch.cat([left, right]).detach())[6:]
    torch.testing.assert_close(torch.cat([left.grad, right.grad]), mean @ incoming, rtol=1e-12, atol=1e-13)


def test_a_layer_is_fed_to_the_next_one() -> None:
    """Path left 1 – right 1 – left 2: two layers bring a share of one to the other."""
    graph = SparsePair.from_scipy(symmetric_normalisation(sp.csr_matrix(np.ones((2, 1)))), torch.float64)
    left = torch.tensor([[0.0], [6.0]], dtype=torch.float64)
    got = light_propagation(graph, left, torch.zeros(1, 1, dtype=torch.float64), 2)[0]
    torch.testing.assert_close(got, torch.tensor([[1.0], [3.0]], dtype=torch.float64))


def test_a_node_without_edges_keeps_a_share_of_its_embedding() -> None:
    graph = SparsePair.from_scipy(symmetric_normalisation(random_graph(5, 5, 6)), torch.float64)
    left, right = leaf(5, 2, 0), leaf(5, 2, 1)
    got = light_propagation(graph, left, right, 3)
    for out, start in zip(got, (left, right), strict=True):
        torch.testing.assert_close(out[[0, 4]], start[[0, 4]] / 4)


def test_an_empty_graph_divides_by_the_number_of_layers() -> None:
    graph = SparsePair.from_scipy(symmetric_normalisation(sp.csr_matrix((3, 2))), torch.float64)
    left, right = leaf(3, 2, 0), leaf(2, 2, 1)
    got = light_propagation(graph, left, right, 2)
    torch.testing.assert_close(torch.cat(got), torch.cat([left, right]) / 3)
    torch.cat(got).sum().backward()
    torch.testing.assert_close(left.grad, torch.full((3, 2), 1 / 3, dtype=torch.float64))


@pytest.mark.parametrize("n_layers", [0, 1, 3])
def test_propagation_leaves_its_inputs_alone(n_layers: int) -> None:
    graph = SparsePair.from_scipy(symmetric_normalisation(random_graph(6, 5, 7)), torch.float64)
    tables = [leaf(6, 2, 0), leaf(5, 2, 1)]
    before = [x.detach().clone() for x in tables]
    light_propagation(graph, *tables, n_layers)
    assert all(torch.equal(a, b) for a, b in zip(tables, before, strict=True))


@pytest.mark.parametrize("autocast", [False, True])
def test_single_precision_agrees_with_double_to_its_own_digits(autocast: bool) -> None:
    matrix = symmetric_normalisation(random_graph(40, 30, 8))
    results = []
    for dtype in (torch.float32, torch.float64):
        graph = SparsePair.from_scipy(matrix, dtype)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            out = light_propagation(graph, leaf(40, 8, 0, dtype), leaf(30, 8, 1, dtype), 3)
        assert all(x.dtype == dtype for x in out)
        results.append(torch.cat(out).double())
    torch.testing.assert_close(*results, rtol=0, atol=1e-6)


# -------------------------------------------------------------------------------- sparse product


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sparse_product_and_its_gradient_equal_the_dense_product(shape: tuple[int, int], dtype: torch.dtype) -> None:
    matrix = sp.random(*shape, 0.5, random_state=np.random.default_rng(1), format="csr")
    weights = torch.from_numpy(matrix.toarray()).to(dtype)
    x, y = leaf(shape[1], 3, 0, dtype), leaf(shape[1], 3, 0, dtype)
    got, want = sparse_product(SparsePair.from_scipy(matrix, dtype), x), weights @ y
    torch.testing.assert_close(got, want)
    incoming = torch.arange(got.numel(), dtype=dtype).view_as(got)
    got.backward(incoming)
    want.backward(incoming)
    torch.testing.assert_close(x.grad, y.grad)


def test_sparse_product_takes_gradients_of_any_layout() -> None:
    matrix = sp.random(6, 4, 0.5, random_state=np.random.default_rng(2), format="csr")
    x = leaf(4, 3, 0)
    incoming = torch.randn(3, 6, dtype=torch.float64).t()
    sparse_product(SparsePair.from_scipy(matrix, torch.float64), x).backward(incoming)
    torch.testing.assert_close(x.grad, torch.from_numpy(matrix.toarray()).T @ incoming)


def test_empty_rows_give_zero_rows() -> None:
    dense = np.zeros((5, 4))
    dense[1, 2], dense[3, 0], dense[3, 3] = 2.0, -1.0, 0.5
    x = leaf(4, 3, 0).detach()
    got = Csr.from_scipy(sp.csr_matrix(dense), torch.float64).matmul(x)
    torch.testing.assert_close(got, torch.from_numpy(dense) @ x)
    assert not got[[0, 2, 4]].any()


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (3, 0)])
def test_a_matrix_without_entries_gives_zeros(shape: tuple[int, int]) -> None:
    got = Csr.from_scipy(sp.csr_matrix(shape), torch.float64).matmul(torch.ones(shape[1], 2, dtype=torch.float64))
    assert got.shape == (shape[0], 2)
    assert got.dtype == torch.float64
    assert not got.any()


def test_unsorted_and_transposed_matrices_are_read_right() -> None:
    matrix = sp.csr_matrix((np.array([1.0, 2.0, 3.0]), np.array([2, 0, 1]), np.array([0, 2, 3])), shape=(2, 3))
    pair = SparsePair.from_scipy(matrix, torch.float64)
    eye = torch.eye(3, dtype=torch.float64)
    assert pair.forward.matmul(eye).tolist() == [[2, 0, 1], [0, 3, 0]]
    assert pair.transposed.matmul(eye[:2, :2].contiguous()).tolist() == [[2, 0], [0, 3], [1, 0]]
    assert pair.forward.columns.dtype == torch.int32


def test_changing_the_dtype_keeps_the_matrix() -> None:
    matrix = random_graph(5, 6, 9)
    pair = SparsePair.from_scipy(matrix).to("cpu", torch.float64)
    assert pair.forward.weights.dtype == torch.float64
    got = pair.forward.matmul(torch.eye(6, dtype=torch.float64))
    np.testing.assert_array_equal(got.numpy(), matrix.toarray())
    assert pair.forward.shape == (5, 6)
    assert pair.transposed.shape == (6, 5)
