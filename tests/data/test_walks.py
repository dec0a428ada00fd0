"""Meta-path walks against their exact expectation and in the limits of their probabilities.

Many draws at once: a graph is laid out in disjoint copies, and every copy is an independent draw.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recbole_vagnn.data.walks import WalkGraph, meta_path_edges
from tests.reference import (
    Edges,
    users_of_video,
    users_of_vlogger,
    videos_of_user,
    videos_of_vlogger,
    vloggers_of_user,
    walk_expectation,
)

# u1 heavy, u2 and u3 share videos and vloggers with it, u4 alone with vlogger 3 and video 6, u5 sees only the unknown
# vlogger's video 7 (with u1), u6 has no history. Video 8 of vlogger 1 was never seen, vlogger 4 (video 9) neither.
VLOGGER_OF = [0, 1, 1, 2, 2, 1, 3, 0, 1, 4]
HISTORIES = {1: [1, 2, 3, 5, 7], 2: [1, 3, 4], 3: [2], 4: [6], 5: [7]}
N_USERS, N_VIDEOS, N_VLOGGERS = 7, len(VLOGGER_OF), 5
R: Edges = {(u, v): 1.0 for u, videos in HISTORIES.items() for v in videos}


def binary(pairs: list[tuple[int, int]], shape: tuple[int, int]) -> sp.csr_matrix:
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    matrix = sp.csr_matrix((np.ones(len(pairs)), (rows, columns)), shape=shape)
    matrix.sort_indices()
    return matrix


def walk_graph(r: Edges, vlogger_of: list[int], n_users: int, n_vloggers: int) -> WalkGraph:
    n_videos = len(vlogger_of)
    pairs = sorted({(u, vlogger_of[v]) for u, v in r if vlogger_of[v]})
    owners = [(a, v) for v, a in enumerate(vlogger_of) if a]
    return WalkGraph(
        binary(sorted(r), (n_users, n_videos)),
        binary(pairs, (n_users, n_vloggers)),
        binary(sorted(owners), (n_vloggers, n_videos)),
    )


def copies(graph: WalkGraph, n: int) -> WalkGraph:
    """n disjoint copies of a graph."""
    parts = (graph.user_video, graph.user_vlogger, graph.vlogger_video)
    return WalkGraph(*(sp.kron(sp.eye(n), part, format="csr") for part in parts))


def draws(graph: WalkGraph, n: int, p: float, q: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n independent draws of the additions to R and to S: (n, users, videos) and (n, users, vloggers)."""
    added = meta_path_edges(copies(graph, n), p, q, np.random.default_rng(seed))
    out = []
    for matrix, one in zip(added, (graph.user_video, graph.user_vlogger), strict=True):
        rows, columns = one.shape
        coo = sp.coo_matrix(matrix)
        assert matrix.shape == (n * rows, n * columns)
        assert (coo.row // rows == coo.col // columns).all()
        counts = np.zeros((n, rows, columns))
        np.add.at(counts, (coo.row // rows, coo.row % rows, coo.col % columns), coo.data)
        out.append(counts)
    return out[0], out[1]


def dense(edges: Edges, shape: tuple[int, int]) -> np.ndarray:
    out = np.zeros(shape)
    for key, value in edges.items():
        out[key] = value
    return out


GRAPH = walk_graph(R, VLOGGER_OF, N_USERS, N_VLOGGERS)


def compare_with_expectation(graph: WalkGraph, r: Edges, vlogger_of: list[int], p: float, q: float) -> None:
    n = 20_000
    shapes = graph.user_video.shape, graph.user_vlogger.shape
    expected = walk_expectation(r, vlogger_of, shapes[0][0], shapes[0][1], shapes[1][1], p, q)
    for got, edges, shape in zip(draws(graph, n, p, q), expected, shapes, strict=True):
        want = dense(edges, shape)
        assert not got[:, want == 0].any()
        error = np.sqrt(got.var(axis=0) / n)
        deviation = np.abs(got.mean(axis=0) - want)
        assert (deviation <= 4.5 * error + 1e-12).all(), (deviation / np.maximum(error, 1e-12)).max()


@pytest.mark.parametrize(("p", "q"), [(0.4, 0.1), (0.7, 0.5), (1.0, 0.3), (0.5, 1.0), (0.5, 0.0), (1.0, 1.0)])
def test_the_mean_of_many_draws_is_the_exact_expectation(p: float, q: float) -> None:
    compare_with_expectation(GRAPH, R, VLOGGER_OF, p, q)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_mean_of_many_draws_is_the_exact_expectation_on_random_graphs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vlogger_of = [0, *rng.integers(0, 4, 8).tolist()]
    r: Edges = {(u, v): 1.0 for u in range(1, 7) for v in range(1, 9) if rng.random() < 0.3}
    compare_with_expectation(walk_graph(r, vlogger_of, 7, 4), r, vlogger_of, 0.8, 0.4)


def test_the_two_draws_of_a_user_are_independent() -> None:
    """u1 and u2 share video 1; what reaches u2 from u1 shows which of u1's walks were taken."""
    vlogger_of = [0, 1, 2]
    r: Edges = {(1, 1): 1.0, (1, 2): 1.0, (2, 1): 1.0}
    n = 40_000
    on_r, on_s = draws(walk_graph(r, vlogger_of, 3, 3), n, 0.6, 1.0)
    first, second = on_r[:, 2, 2] > 0, on_s[:, 2, 2] > 0
    probability = 0.6 / 2  # half of the walks pick the vlogger (the video) that nobody shares
    for share, want in ((first, probability), (second, probability), (first & second, probability**2)):
        assert abs(share.mean() - want) < 4.5 * np.sqrt(want * (1 - want) / n)


def test_hop_and_walk_are_drawn_for_each_user_apart() -> None:
    """Users 1 and 4 walk (q = 0, one video a draw) with probability p each, and both with p²."""
    n, p = 40_000, 0.3
    on_r, _ = draws(GRAPH, n, p, 0.0)
    both = (on_r[:, 1].sum(1) > 0) & (on_r[:, 4].sum(1) > 0)
    assert abs(both.mean() - p * p) < 4.5 * np.sqrt(p * p * (1 - p * p) / n)


# ---------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("q", [0.0, 0.1, 1.0])
def test_probability_zero_adds_nothing(q: float) -> None:
    on_r, on_s = meta_path_edges(copies(GRAPH, 200), 0.0, q, np.random.default_rng(0))
    assert on_r.nnz == 0
    assert on_s.nnz == 0


def test_without_user_hops_each_user_gets_one_video_of_one_of_their_vloggers() -> None:
    on_r, on_s = draws(GRAPH, 500, 1.0, 0.0)
    assert not on_s.any()
    for u in range(N_USERS):
        allowed = [v for a in vloggers_of_user(R, VLOGGER_OF, u) for v in videos_of_vlogger(VLOGGER_OF, a)]
        assert (on_r[:, u].sum(1) == (1 if allowed else 0)).all()
        assert set(np.flatnonzero(on_r[:, u].any(0))) == set(allowed)


def test_u_p_v_reaches_videos_that_nobody_has_seen() -> None:
    assert draws(GRAPH, 500, 1.0, 0.0)[0][:, 1, 8].any()


def test_u_p_u_gives_one_other_user_the_whole_history_once() -> None:
    """Video 10 + u is private to user u, so its column says whom u's walk reached."""
    n_users = 7
    vlogger_of = [0, *[1 + v % 2 for v in range(5)], *[0] * 5, *[3] * n_users]
    r: Edges = {(u, v): 1.0 for u in range(1, n_users) for v in range(1, u)}
    r |= {(u, 10 + u): 1.0 for u in range(1, n_users)}
    graph = walk_graph(r, vlogger_of, n_users, 4)
    matrix = graph.user_video.toarray()
    reached = set()
    for seed in range(60):
        on_r, _ = meta_path_edges(graph, 1.0, 1.0, np.random.default_rng(seed))
        on_r = on_r.toarray()
        moves = on_r[:, 10 : 10 + n_users]  # (w, u): how often w was given u's history
        np.testing.assert_array_equal(on_r, moves @ matrix)
        assert moves.sum(0).tolist() == [0.0] + [1.0] * (n_users - 1)
        assert not moves.diagonal().any()
        reached |= {(int(w), int(u)) for w, u in zip(*np.nonzero(moves), strict=True)}
    assert reached == {(w, u) for w in range(1, n_users) for u in range(1, n_users) if w != u}


def test_u_v_u_gives_one_other_user_each_vlogger_of_the_walker_once() -> None:
    """All of three users share video 1; user u alone has vlogger 1 + u (two videos of it: it still counts once)."""
    vlogger_of = [0, 1, 2, 2, 3, 3, 4, 4]
    r: Edges = {(u, v): 1.0 for u in (1, 2, 3) for v in (1, 2 * u, 2 * u + 1)}
    graph = walk_graph(r, vlogger_of, 4, 5)
    _, on_s = draws(graph, 3000, 1.0, 1.0)
    moves = on_s[:, :, 2:]  # (draw, w, u − 1)
    assert moves.max() == 1.0
    assert not moves[:, 0].any()
    for u in (1, 2, 3):
        column = moves[:, :, u - 1]
        assert not column[:, u].any()
        assert set(column.sum(1)) == {0.0, 1.0}  # the walk over a private video goes nowhere
        assert column.sum() / 3000 == pytest.approx(1 / 3, abs=0.04)
    np.testing.assert_array_equal(on_s[:, 1:, 1], moves[:, 1:].sum(2))


# --------------------------------------------------------------------------------- skipped walks


def test_a_vlogger_with_one_user_leads_nowhere() -> None:
    """Only user 4 knows vlogger 3: hops of user 4 add nothing, and user 4 receives nothing."""
    assert users_of_vlogger(R, VLOGGER_OF, 3) == [4]
    on_r, on_s = draws(GRAPH, 500, 1.0, 1.0)
    assert not on_r[:, 4].any()
    assert not on_r[:, :, 6].any()
    assert not on_s[:, 4].any()
    assert not on_s[:, :, 3].any()


def test_a_video_with_one_user_leads_nowhere() -> None:
    r: Edges = {(1, 1): 1.0, (2, 2): 1.0}
    graph = walk_graph(r, [0, 1, 1], 3, 2)
    on_r, on_s = draws(graph, 200, 1.0, 1.0)
    assert not on_s.any()  # users 1 and 2 share the vlogger but no video
    assert (on_r[:, 1, 2] == 1).all()
    assert (on_r[:, 2, 1] == 1).all()
    assert on_r.sum() == 400


def test_a_user_without_known_vloggers_takes_the_video_walk_alone() -> None:
    assert vloggers_of_user(R, VLOGGER_OF, 5) == []
    assert users_of_video(R, 7) == [1, 5]
    on_r, on_s = draws(GRAPH, 500, 1.0, 0.5)
    assert not on_r[:, 5].any()
    assert on_s[:, 5].any()  # from user 1 over video 7


def test_a_user_without_history_neither_walks_nor_is_reached() -> None:
    assert videos_of_user(R, 6) == []
    for q in (0.0, 0.5, 1.0):
        for got in draws(GRAPH, 300, 1.0, q):
            assert not got[:, 6].any()


def test_nothing_touches_the_padding() -> None:
    for got in draws(GRAPH, 1000, 1.0, 0.5):
        assert not got[:, 0].any()
        assert not got[:, :, 0].any()


@pytest.mark.parametrize("q", [0.0, 0.5, 1.0])
def test_an_empty_graph_gives_empty_additions(q: float) -> None:
    graph = walk_graph({}, [0, 1, 0], 4, 2)
    on_r, on_s = meta_path_edges(graph, 1.0, q, np.random.default_rng(0))
    assert (on_r.shape, on_s.shape) == ((4, 3), (4, 2))
    assert on_r.nnz == on_s.nnz == 0


def test_every_choice_of_a_walk_is_drawn_anew_by_the_generator() -> None:
    """User 1 shares video 1 (vlogger 1) with user 2, and video 2 (vlogger 2) with user 3."""
    r: Edges = {(1, 1): 1.0, (1, 2): 1.0, (2, 1): 1.0, (3, 2): 1.0}
    graph = walk_graph(r, [0, 1, 2, 1, 2], 4, 3)
    reached: list[set[tuple[int, int]]] = [set(), set()]
    chosen: set[int] = set()
    for seed in range(40):
        on_r, on_s = meta_path_edges(graph, 1.0, 1.0, np.random.default_rng(seed))
        # the video (vlogger) that the reached user does not share with user 1 can only come from user 1
        reached[0] |= {(w, v) for w, v in ((2, 2), (3, 1)) if on_r[w, v]}
        reached[1] |= {(w, a) for w, a in ((2, 2), (3, 1)) if on_s[w, a]}
        chosen |= set(meta_path_edges(graph, 1.0, 0.0, np.random.default_rng(seed))[0][1].indices.tolist())
    assert reached == [{(2, 2), (3, 1)}] * 2
    assert chosen == {1, 2, 3, 4}


def test_the_generator_decides_and_the_graph_is_left_alone() -> None:
    graph = copies(GRAPH, 20)
    before = [m.copy() for m in (graph.user_video, graph.user_vlogger, graph.vlogger_video)]
    one, two, other = (meta_path_edges(graph, 0.7, 0.3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(abs(a - b).sum() == 0 for a, b in zip(one, two, strict=True))
    assert all(abs(a - b).sum() > 0 for a, b in zip(one, other, strict=True))
    after = (graph.user_video, graph.user_vlogger, graph.vlogger_video)
    assert all((a != b).nnz == 0 for a, b in zip(before, after, strict=True))
