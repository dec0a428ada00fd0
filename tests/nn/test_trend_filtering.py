"""Trend filtering against the equations with explicit matrices, in numpy and float64."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from recbole_vagnn.nn import trend_filtering as module
from recbole_vagnn.nn.trend_filtering import TrendGraph, trend_filtering

N_USERS, N_ITEMS, D = 7, 9, 5
CLIPS = [0.0, 0.02, 0.1, 0.4, 4.0, float("inf")]  # from all entries clipped to none


def random_graph(seed: int = 0, n_users: int = N_USERS, n_items: int = N_ITEMS, density: float = 0.4) -> sp.csr_matrix:
    """0/1 interactions; the first user and item, RecBole's PAD, and the last have none."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((n_users, n_items)) < density).astype(float)
    dense[[0, -1]] = 0
    dense[:, [0, -1]] = 0
    return sp.csr_matrix(dense)


def incidence(matrix: sp.spmatrix) -> np.ndarray:
    """Δ̃ = Δ (D + I)^-1/2 with a row for each edge: +1 at the item, −1 at the user."""
    dense = matrix.toarray()
    n_users, n_items = dense.shape
    edges = [(u, i) for u in range(n_users) for i in range(n_items) if dense[u, i]]
    delta = np.zeros((len(edges), n_users + n_items))
    for row, (u, i) in enumerate(edges):
        delta[row, u], delta[row, n_users + i] = -1, 1
    degree = np.abs(delta).sum(axis=0)
    return delta @ np.diag((degree + 1) ** -0.5)


def dense_layers(delta: np.ndarray, x: np.ndarray, n_layers: int, clip: float, gamma: float = 1.0) -> np.ndarray:
    """The algorithm of the paper, Y included."""
    beta = 0.5
    e, z = x, np.zeros((len(delta), x.shape[1]))
    for _ in range(n_layers):
        y = e - gamma * (e - x)
        z = np.clip(z + beta / gamma * delta @ (y - gamma * delta.T @ z), -clip, clip)
        e = y - gamma * delta.T @ z
    return e


def normal(rows: int, seed: int, columns: int = D) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns))


def filtered(matrix: sp.spmatrix, x: np.ndarray, n_layers: int, clip: float) -> np.ndarray:
    graph = TrendGraph.from_scipy(matrix, torch.float64)
    return trend_filtering(graph, torch.from_numpy(x), n_layers, clip).numpy()


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of two columns and three edges, so that a small graph needs several of both."""
    monkeypatch.setattr(module, "_COLUMNS", 2)
    monkeypatch.setattr(module, "_BLOCK_EDGES", 3)


# ------------------------------------------------------------------------------------- matrices


def test_incidence_gives_the_normalised_laplacian() -> None:
    matrix = random_graph()
    delta = incidence(matrix)
    adjacency = sp.bmat([[None, matrix], [matrix.T, None]]).toarray()
    degree = adjacency.sum(axis=1)
    root = np.diag((degree + 1) ** -0.5)
    laplacian = root @ (np.diag(degree) - adjacency) @ root
    np.testing.assert_allclose(delta.T @ delta, laplacian, atol=1e-15)

    graph = TrendGraph.from_scipy(matrix, torch.float64)
    n, m = len(degree), len(delta)
    eye = [torch.eye(size, dtype=torch.float64) for size in (n, m, n + m)]
    np.testing.assert_allclose(graph.smooth.matmul(eye[0]).numpy(), np.eye(n) - 0.5 * laplacian, atol=1e-15)
    np.testing.assert_allclose(graph.nodes.matmul(eye[1]).numpy(), delta.T, atol=1e-15)
    np.testing.assert_allclose(graph.edges.matmul(eye[2]).numpy(), np.hstack([0.5 * delta, np.eye(m)]), atol=1e-15)


def test_only_the_support_is_read_and_the_input_left_alone() -> None:
    matrix = random_graph()
    rows, columns = matrix.nonzero()
    entries = (np.append(3.0 * matrix.data, 0.0), (np.append(rows, 1), np.append(columns, 0)))
    weighted = sp.csr_matrix(entries, shape=matrix.shape)  # with a stored zero, which is no edge
    before = weighted.copy()
    assert weighted.nnz == matrix.nnz + 1
    x = normal(N_USERS + N_ITEMS, 0)
    np.testing.assert_array_equal(filtered(weighted, x, 2, 0.1), filtered(matrix, x, 2, 0.1))
    np.testing.assert_array_equal(weighted.data, before.data)
    assert weighted.nnz == before.nnz


# ---------------------------------------------------------------------------------------- layers


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("n_layers", [0, 1, 2, 3, 5])
def test_layers_equal_the_algorithm_of_the_paper(n_layers: int, clip: float) -> None:
    for seed in range(3):
        matrix, x = random_graph(seed), normal(N_USERS + N_ITEMS, seed)
        want = dense_layers(incidence(matrix), x, n_layers, clip)
        np.testing.assert_allclose(filtered(matrix, x, n_layers, clip), want, rtol=0, atol=1e-14)


@pytest.mark.parametrize("clip", [0.02, 0.1, 0.4])
def test_blocks_of_columns_and_edges_change_nothing(clip: float, small_blocks: None) -> None:
    matrix, x = random_graph(1), normal(N_USERS + N_ITEMS, 1)
    delta = incidence(matrix)
    assert len(delta) % 3
    np.testing.assert_allclose(filtered(matrix, x, 3, clip), dense_layers(delta, x, 3, clip), rtol=0, atol=1e-14)


def test_without_a_limit_the_layers_are_powers_of_the_smoother() -> None:
    matrix, x = random_graph(), normal(N_USERS + N_ITEMS, 0)
    delta = incidence(matrix)
    want = np.linalg.matrix_power(np.eye(len(x)) - 0.5 * delta.T @ delta, 3) @ x
    np.testing.assert_allclose(filtered(matrix, x, 3, float("inf")), want, atol=1e-14)


def test_a_limit_of_zero_returns_the_embeddings() -> None:
    x = normal(N_USERS + N_ITEMS, 0)
    np.testing.assert_array_equal(filtered(random_graph(), x, 3, 0.0), x)


def test_the_bound_is_never_too_low_and_the_two_ways_agree_where_it_lets_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the short way is taken nothing clips, and where it is not, both give the same if nothing does."""
    matrix = random_graph(2)
    delta = incidence(matrix)
    graph = TrendGraph.from_scipy(matrix, torch.float64)
    taken = 0
    for seed in range(40):
        x = normal(N_USERS + N_ITEMS, seed)
        clip = float(np.random.default_rng(seed).uniform(1.0, 4.0))
        short = module._layers_without_clipping(graph, torch.from_numpy(x), 3, clip)
        if short is None:
            continue
        taken += 1
        np.testing.assert_allclose(short.numpy(), dense_layers(delta, x, 3, clip), atol=1e-13)
        np.testing.assert_allclose(short.numpy(), dense_layers(delta, x, 3, np.inf), atol=1e-13)
    assert 5 < taken < 35
    x = normal(N_USERS + N_ITEMS, 0)
    short_way = filtered(matrix, x, 3, float("inf"))
    monkeypatch.setattr(module, "_layers_without_clipping", lambda *_: None)
    np.testing.assert_allclose(filtered(matrix, x, 3, float("inf")), short_way, atol=1e-14)


def test_more_layers_come_closer_to_the_minimum() -> None:
    """½‖E − X‖² + λ2‖Δ̃E‖₁: what the algorithm is for; its limit is the same from any other method."""
    matrix, x, clip = random_graph(3), normal(N_USERS + N_ITEMS, 3), 0.1
    delta = incidence(matrix)

    def objective(e: np.ndarray) -> float:
        return float(0.5 * ((e - x) ** 2).sum() + clip * np.abs(delta @ e).sum())

    values = [objective(filtered(matrix, x, k, clip)) for k in (0, 1, 3, 300)]
    assert values[1] < values[0]
    assert values[-1] == min(values)
    found = filtered(matrix, x, 300, clip)
    rng = np.random.default_rng(0)
    assert all(objective(found + 1e-3 * rng.standard_normal(x.shape)) > values[-1] for _ in range(50))


@pytest.mark.parametrize("clip", [0.1, 4.0])
def test_z_restarts_in_every_call_and_the_input_stays(clip: float) -> None:
    graph = TrendGraph.from_scipy(random_graph(), torch.float64)
    x = torch.from_numpy(normal(N_USERS + N_ITEMS, 0))
    before = x.clone()
    first = trend_filtering(graph, x, 3, clip)
    trend_filtering(graph, 100 * x, 3, clip)
    assert torch.equal(trend_filtering(graph, x, 3, clip), first)
    assert torch.equal(x, before)


@pytest.mark.parametrize("clip", [0.1, 4.0])
def test_the_order_of_nodes_does_not_matter(clip: float) -> None:
    matrix, x = random_graph(4), normal(N_USERS + N_ITEMS, 4)
    rng = np.random.default_rng(0)
    users, items = rng.permutation(N_USERS), rng.permutation(N_ITEMS)
    order = np.concatenate([users, N_USERS + items])
    got = filtered(matrix[users][:, items], x[order], 3, clip)
    np.testing.assert_allclose(got, filtered(matrix, x, 3, clip)[order], atol=1e-14)


@pytest.mark.parametrize("clip", [0.1, 4.0])
def test_nodes_without_edges_are_left_alone_and_touch_nothing(clip: float) -> None:
    matrix, x = random_graph(), normal(N_USERS + N_ITEMS, 0)
    alone = [0, N_USERS - 1, N_USERS, N_USERS + N_ITEMS - 1]
    got = filtered(matrix, x, 3, clip)
    np.testing.assert_array_equal(got[alone], x[alone])
    other = x.copy()
    other[alone] = 1e3
    connected = np.setdiff1d(np.arange(len(x)), alone)
    np.testing.assert_allclose(filtered(matrix, other, 3, clip)[connected], got[connected], atol=1e-14)


@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (0, 3), (3, 0)])
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_graph_without_edges_returns_the_embeddings(shape: tuple[int, int], clip: float) -> None:
    x = torch.from_numpy(normal(sum(shape), 0)).requires_grad_()
    got = trend_filtering(TrendGraph.from_scipy(sp.csr_matrix(shape), torch.float64), x, 3, clip)
    assert torch.equal(got, x)
    got.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def test_a_nan_spreads_along_edges_alone() -> None:
    matrix = sp.csr_matrix(np.array([[1.0, 1, 0], [0, 0, 1]]))
    x = normal(5, 0)
    x[0, 1] = np.nan
    got = filtered(matrix, x, 1, 4.0)
    assert np.isnan(got[[0, 2, 3], 1]).all()
    assert np.isfinite(got[[1, 4]]).all()
    assert np.isfinite(got[:, [0, 2, 3, 4]]).all()


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("clip", [0.1, 4.0])
def test_single_precision_agrees_to_its_own_digits(clip: float, autocast: bool) -> None:
    matrix, x = random_graph(5, 40, 30), normal(70, 5, 20)
    graph = TrendGraph.from_scipy(matrix, torch.float64).to("cpu", torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        got = trend_filtering(graph, torch.from_numpy(x).float(), 3, clip)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), dense_layers(incidence(matrix), x, 3, clip), rtol=0, atol=2e-6)


# ------------------------------------------------------------------------------------- gradients


def dense_autograd(matrix: sp.spmatrix, x: Tensor, n_layers: int, clip: float) -> Tensor:
    delta = torch.from_numpy(incidence(matrix))
    z = torch.zeros(len(delta), x.shape[1], dtype=x.dtype)
    e = x
    for _ in range(n_layers):
        z = torch.clamp(z + 0.5 * delta @ (x - delta.T @ z), -clip, clip)
        e = x - delta.T @ z
    return e


@pytest.mark.parametrize("clip", CLIPS[1:])
@pytest.mark.parametrize("n_layers", [0, 1, 3])
def test_the_gradient_equals_that_of_dense_autograd(n_layers: int, clip: float, small_blocks: None) -> None:
    matrix = random_graph(6)
    x, y = (torch.from_numpy(normal(N_USERS + N_ITEMS, 6)).requires_grad_() for _ in range(2))
    incoming = torch.from_numpy(normal(D, 7, N_USERS + N_ITEMS)).t()  # not contiguous
    trend_filtering(TrendGraph.from_scipy(matrix, torch.float64), x, n_layers, clip).backward(incoming)
    dense_autograd(matrix, y, n_layers, clip).backward(incoming)
    torch.testing.assert_close(x.grad, y.grad, rtol=0, atol=1e-13)


@pytest.mark.parametrize("clip", [0.05, 0.3, 4.0])
def test_the_gradient_equals_finite_differences(clip: float) -> None:
    graph = TrendGraph.from_scipy(random_graph(7), torch.float64)
    x = torch.from_numpy(normal(N_USERS + N_ITEMS, 7, 2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: trend_filtering(graph, x, 3, clip), (x,), eps=1e-7, atol=1e-6)


def test_two_forward_passes_before_backward_keep_their_own_masks() -> None:
    graph = TrendGraph.from_scipy(random_graph(8), torch.float64)
    tensors = [torch.from_numpy(normal(N_USERS + N_ITEMS, seed)) for seed in (1, 2)]
    alone = []
    for tensor in tensors:
        x = tensor.clone().requires_grad_()
        trend_filtering(graph, x, 2, 0.1).square().sum().backward()
        alone.append(x.grad)
    both = [tensor.clone().requires_grad_() for tensor in tensors]
    outputs = [trend_filtering(graph, x, 2, 0.1) for x in both]
    sum(output.square().sum() for output in outputs).backward()
    for x, want in zip(both, alone, strict=True):
        assert torch.equal(x.grad, want)
