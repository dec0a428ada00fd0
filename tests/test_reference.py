"""The naive reference itself, against values worked by hand and against second routes."""

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch

from tests.hand_case import R2, R3, R6, Expected, hand_case, unknown_case
from tests.reference import (
    Batch,
    Bundle,
    Edges,
    Head,
    Heads,
    Matrix,
    Views,
    bpr,
    compute_views,
    contrast,
    gelu,
    info_nce,
    l2norm,
    loss_terms,
    mix_weights,
    normalise,
    project,
    propagate,
    regulariser,
    score,
    score_matrix,
    sigmoid,
    softplus,
    total_loss,
    user_vlogger_counts,
    videos_of_user,
    videos_of_vlogger,
    vlogger_score,
    vlogger_view,
    vloggers_of_user,
    walk_expectation,
    weights,
)

Case = Callable[[], tuple[Bundle, Expected]]
PHI_1 = 0.8413447460685429  # standard normal distribution function at 1, from tables


def close(got: Any, want: Any, tol: float = 1e-13) -> None:
    """Equal shapes, and equal values up to ``tol``."""
    np.testing.assert_allclose(np.array(got), np.array(want), rtol=tol, atol=tol, strict=True)


def close_edges(got: Edges, want: Edges, tol: float = 1e-13) -> None:
    """The same edges with the same weights."""
    assert got.keys() == want.keys()
    close([got[key] for key in sorted(got)], [want[key] for key in sorted(got)], tol)


# ------------------------------------------------------------------ the cases worked by hand


@pytest.mark.parametrize("case", [hand_case, unknown_case])
@pytest.mark.parametrize("name", ["u1", "v1", "p1", "u2", "v2", "p2"])
def test_views_equal_the_hand_derivation(case: Case, name: Literal["u1", "v1", "p1", "u2", "v2", "p2"]) -> None:
    bundle, expected = case()
    close(getattr(compute_views(bundle), name), expected[name])


@pytest.mark.parametrize("case", [hand_case, unknown_case])
def test_weights_equal_the_hand_derivation(case: Case) -> None:
    bundle, expected = case()
    close(weights(bundle, compute_views(bundle)), expected["w"])


@pytest.mark.parametrize("case", [hand_case, unknown_case])
def test_scores_equal_the_hand_derivation(case: Case) -> None:
    bundle, expected = case()
    got = score_matrix(bundle)
    close_edges({(u, v): got[u][v] for u, v in expected["scores"]}, expected["scores"])


@pytest.mark.parametrize("case", [hand_case, unknown_case])
def test_vlogger_scores_equal_the_hand_derivation(case: Case) -> None:
    bundle, expected = case()
    x = compute_views(bundle)
    want = expected["vlogger_scores"]
    close_edges({(u, p): vlogger_score(u, p, x) for u, p in want}, want)


def test_the_hand_weights_differ_from_each_other_and_from_every_constant() -> None:
    w = sorted(hand_case()[1]["w"][1:])
    assert all(b - a > 0.02 for a, b in itertools.pairwise([0.0, *w, 0.5]))


def test_normalised_edges_equal_the_hand_derivation() -> None:
    bundle, _ = hand_case()
    close_edges(normalise(bundle.r_walk), dict.fromkeys(bundle.r_walk, 1 / R3))
    close_edges(normalise(bundle.s_walk), {(1, 1): 1 / R2, (2, 1): 1 / R3, (2, 2): 1 / R3})


def test_user_vlogger_counts_equal_the_hand_derivation() -> None:
    known, unknown = hand_case()[0], unknown_case()[0]
    assert user_vlogger_counts(known.r_edges, known.vlogger_of) == {
        (1, 1): 2.0,
        (2, 1): 1.0,
        (2, 2): 1.0,
    }
    assert user_vlogger_counts(unknown.r_edges, unknown.vlogger_of) == {(1, 1): 2.0, (2, 1): 1.0}


def test_videos_are_summed_with_the_plain_matrix_not_with_the_walks() -> None:
    """R' has other row sums and other proportions than R; v2 must not move with it."""
    bundle, expected = hand_case()
    moved = replace(bundle, r_walk={(1, 1): 7.0, (1, 2): 1.0, (2, 2): 1.0, (2, 3): 5.0})
    close(compute_views(moved).v2, expected["v2"])


def test_videos_are_summed_with_shares_of_each_users_degree() -> None:
    """u1 has three videos, u2 one, no layers: video 1 is u1/3 + u2, video 2 and 3 are u1/3."""
    users = [[9.0, 9.0], [12.0, 0.0], [0.0, 3.0]]
    r_edges = {(1, 1): 1.0, (1, 2): 1.0, (1, 3): 1.0, (2, 1): 1.0}
    v2 = vlogger_view(users, [[0.0, 0.0]], {}, r_edges, 5, 0)[1]
    close(v2, [[0.0, 0.0], [4 / 5, 3 / 5], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])


# ---------------------------------------------------------------------------- propagation


def random_edges(rng: random.Random, n_left: int, n_right: int, share: float) -> Edges:
    """Weighted edges between ids from 1 on; the last id of each side is left isolated."""
    return {
        (i, j): float(rng.randint(1, 4))
        for i in range(1, n_left - 1)
        for j in range(1, n_right - 1)
        if rng.random() < share
    }


def random_matrix(rng: random.Random, n: int, d: int) -> Matrix:
    """n vectors of d normal numbers."""
    return [[rng.gauss(0.0, 1.0) for _ in range(d)] for _ in range(n)]


@pytest.mark.parametrize("n_layers", [0, 1, 2, 5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_propagation_equals_the_mean_of_dense_matrix_powers(seed: int, n_layers: int) -> None:
    rng = random.Random(seed)
    n_left, n_right = 9, 12
    edges = random_edges(rng, n_left, n_right, 0.3)
    left, right = random_matrix(rng, n_left, 4), random_matrix(rng, n_right, 4)
    adjacency = np.zeros((n_left + n_right, n_left + n_right))
    for (i, j), weight in edges.items():
        adjacency[i, n_left + j] = adjacency[n_left + j, i] = weight
    degree = adjacency.sum(axis=1)
    inverse = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    norm = np.diag(inverse) @ adjacency @ np.diag(inverse)
    powers = [np.linalg.matrix_power(norm, k) for k in range(n_layers + 1)]
    want = np.mean(powers, axis=0) @ np.array(left + right)
    got_left, got_right = propagate(edges, left, right, n_layers)
    close(got_left + got_right, want, 1e-12)


def test_propagation_leaves_a_node_without_edges_a_share_of_its_embedding() -> None:
    left, right = propagate({(1, 1): 2.0}, [[6.0], [1.0]], [[9.0], [1.0], [3.0]], 2)
    close(left, [[2.0], [1.0]])
    close(right, [[3.0], [1.0], [1.0]])


def test_propagation_feeds_each_layer_to_the_next() -> None:
    """Path 1-1'-2: layer 2 of left 1 reaches left 2 (1/2 of it); one hop repeated would not."""
    left, _ = propagate({(1, 1): 1.0, (2, 1): 1.0}, [[0.0], [0.0], [6.0]], [[0.0], [0.0]], 2)
    close(left[1], [1.0])


def test_propagation_does_not_depend_on_the_scale_of_the_weights() -> None:
    rng = random.Random(3)
    edges = random_edges(rng, 7, 7, 0.5)
    left, right = random_matrix(rng, 7, 3), random_matrix(rng, 7, 3)
    tenfold = {key: 10.0 * weight for key, weight in edges.items()}
    close(propagate(tenfold, left, right, 3)[0], propagate(edges, left, right, 3)[0], 1e-12)


def test_propagation_leaves_its_inputs_alone() -> None:
    bundle, _ = hand_case()
    propagate(bundle.r_walk, bundle.user_emb, bundle.video_emb, 2)
    assert bundle == hand_case()[0]


# ------------------------------------------------------------------- weights and ablations


def test_adaptive_weight_is_three_quarters_at_logit_log_three() -> None:
    """(v1+v2)/2 = (1, 0), (p1+p2)/2 = (0, 1): only Q[0][1] counts, and sigmoid(ln 3) = 3/4."""
    v1, v2 = [[9.0, 9.0], [2.0, 1.0]], [[9.0, 9.0], [0.0, -1.0]]
    p1, p2 = [[9.0, 9.0], [1.0, 2.0]], [[9.0, 9.0], [-1.0, 0.0]]
    q = [[5.0, math.log(3.0)], [-7.0, 11.0]]
    close(mix_weights(v1, v2, p1, p2, q, [0, 1]), [1.0, 3 / 4])


@pytest.mark.parametrize(("mix", "w"), [("equal", 0.5), ("video", 1.0), ("vlogger", 0.0)])
def test_constant_weights_spare_the_videos_without_vlogger(mix: Literal["equal", "video", "vlogger"], w: float) -> None:
    bundle = replace(unknown_case()[0], mix=mix)
    assert weights(bundle, compute_views(bundle)) == [1.0, w, w, 1.0]


def test_equal_weight_averages_the_video_and_the_vlogger_part() -> None:
    bundle, _ = hand_case()
    only = {m: score_matrix(replace(bundle, mix=m)) for m in ("equal", "video", "vlogger")}
    close(only["video"][1][1], 32 * R3 / 27 + 13 / 6)
    close(only["vlogger"][1][1], 2 + 77 * R2 / 24 - 5 * R3 / 108)
    close(np.array(only["equal"]), (np.array(only["video"]) + np.array(only["vlogger"])) / 2)


def test_vlogger_score_alone_still_scores_a_video_of_unknown_vlogger_by_itself() -> None:
    close(score_matrix(replace(unknown_case()[0], mix="vlogger"))[2][3], 2 * R3 / 3 + 1)


def test_without_vlogger_view_q_sees_the_video_view_unhalved() -> None:
    """z_1 = v1'Q p1 = (4 r3/9)(1, 1)'Q(4/5, 3/5) = (4 r3/9)(3/10 - 1/5) = 2 r3/45."""
    bundle = replace(hand_case()[0], views="video")
    x = compute_views(bundle)
    assert not np.any(x.u2)
    assert not np.any(x.v2)
    assert not np.any(x.p2)
    close(x.p1, hand_case()[1]["p1"])
    w = weights(bundle, x)[1]
    close(w, sigmoid(2 * R3 / 45))
    # u1.v1 = 32 r3/27 and u1.p1 = 2 are the first summands of the derivation in hand_case.
    close(score(1, 1, x, weights(bundle, x), bundle.vlogger_of), w * 32 * R3 / 27 + (1 - w) * 2)


def test_without_video_view_q_sees_the_vlogger_view_unhalved() -> None:
    """Unknown case, video 1: v2 = (1, 0), p2 = -(r2/2)(1, 1), z = (1/2)(-r2/2) = -r2/4."""
    bundle = replace(unknown_case()[0], views="vlogger")
    x = compute_views(bundle)
    assert not np.any(x.u1)
    assert not np.any(x.v1)
    assert not np.any(x.p1)
    w = weights(bundle, x)
    close(w[1], sigmoid(-R2 / 4))
    # u2.v2 = 1 and u2.p2 = -r2/2
    close(score(1, 1, x, w, bundle.vlogger_of), w[1] - (1 - w[1]) * R2 / 2)


def test_vlogger_free_model_is_lightgcn_on_the_training_matrix() -> None:
    """No vlogger view, w = 1, no meta-paths (§5): inner products of the propagated embeddings."""
    base, _ = hand_case()
    bundle = replace(base, views="video", mix="video", r_walk=base.r_edges)
    left, right = propagate(base.r_edges, base.user_emb, base.video_emb, 2)
    close(score_matrix(bundle), np.array(left) @ np.array(right).T)


@pytest.mark.parametrize("case", [hand_case, unknown_case])
def test_scores_are_one_inner_product_in_twice_the_dimensions(case: Case) -> None:
    """The form of §3: [u1; u2] . [w v1 + (1-w) p1 ; w v2 + (1-w) p2]."""
    bundle, _ = case()
    x = compute_views(bundle)
    w = np.array(weights(bundle, x))[:, None]
    known = np.array(bundle.vlogger_of)
    videos = [w * np.array(v) + (1 - w) * np.array(p)[known] for v, p in ((x.v1, x.p1), (x.v2, x.p2))]
    close(score_matrix(bundle), np.hstack([x.u1, x.u2]) @ np.hstack(videos).T)


# ---------------------------------------------------------------------------------- losses


def test_bpr_of_hand_values() -> None:
    """softplus(0) = ln 2, softplus(-ln 3) = ln(4/3), softplus(ln 3) = ln 4."""
    close(bpr([1.0], [1.0]), math.log(2))
    close(bpr([math.log(3), 2.0], [0.0, 2.0]), math.log(8 / 3) / 2)
    close(bpr([0.0], [math.log(3)]), math.log(4))
    assert bpr([], []) == 0.0


def test_bpr_is_finite_for_any_margin() -> None:
    assert bpr([0.0], [5000.0]) == 5000.0
    assert bpr([5000.0], [0.0]) == 0.0
    close(softplus(-40.0), math.exp(-40.0))
    assert sigmoid(-5000.0) == 0.0
    assert sigmoid(5000.0) == 1.0


def test_l2norm_keeps_directions_and_the_zero_vector() -> None:
    close(l2norm([3.0, -4.0]), [3 / 5, -4 / 5])
    assert l2norm([0.0, 0.0]) == [0.0, 0.0]


def test_gelu_of_hand_values() -> None:
    close([gelu(0.0), gelu(1.0), gelu(-1.0)], [0.0, PHI_1, PHI_1 - 1.0])


def test_head_of_hand_values() -> None:
    """x = (1, 2): h = (1-2+1, 2-2+1) = (0, 1), gelu h = (0, Phi), linear2 = (Phi, 3).

    The sum is (Phi, 4) with deviations -+d, d = (4 - Phi)/2, and variance d^2.
    """
    head: Head = {
        "w1": [[1.0, -1.0], [2.0, -1.0]],
        "b1": [1.0, 1.0],
        "w2": [[0.0, 1.0], [5.0, 0.0]],
        "b2": [0.0, 3.0],
        "gamma": [2.0, -3.0],
        "beta": [0.5, 0.25],
    }
    d = (4 - PHI_1) / 2
    n = d / math.sqrt(d * d + 1e-5)
    close(project([1.0, 2.0], head), [0.5 - 2 * n, 0.25 - 3 * n])
    head["eps"] = 0.0
    close(project([1.0, 2.0], head), [-1.5, -2.75])


def random_head(rng: random.Random, d: int, hidden: int = 16) -> Head:
    """A head in its true shape, without structure."""
    return {
        "w1": random_matrix(rng, hidden, d),
        "b1": random_matrix(rng, 1, hidden)[0],
        "w2": random_matrix(rng, hidden, hidden),
        "b2": random_matrix(rng, 1, hidden)[0],
        "gamma": random_matrix(rng, 1, hidden)[0],
        "beta": random_matrix(rng, 1, hidden)[0],
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_head_equals_the_layers_of_torch(seed: int) -> None:
    rng = random.Random(seed)
    head = random_head(rng, 5)
    x = random_matrix(rng, 1, 5)[0]
    p: dict[str, torch.Tensor] = {key: torch.tensor(value, dtype=torch.float64) for key, value in head.items()}
    functional = torch.nn.functional
    first = functional.linear(torch.tensor(x, dtype=torch.float64), p["w1"], p["b1"])
    second = functional.linear(functional.gelu(first), p["w2"], p["b2"])
    want = functional.layer_norm(first + second, (16,), p["gamma"], p["beta"], 1e-5)
    close(project(x, head), want.numpy(), 1e-12)


# Cosines of the rows with the columns: 1, 3/5; 0, 4/5. At tau 1/5 the logits are 5, 3; 0, 4.
LEFT: Matrix = [[1.0, 0.0], [0.0, 2.0]]
RIGHT: Matrix = [[3.0, 0.0], [3.0, 4.0]]
NCE = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-4))) / 2


def test_info_nce_of_hand_values() -> None:
    close(info_nce(LEFT, RIGHT, 0.2), NCE)


def test_info_nce_looks_from_the_first_argument() -> None:
    """The other way round the logits are 5, 0; 3, 4."""
    want = (math.log(1 + math.exp(-5)) + math.log(1 + math.exp(-1))) / 2
    close(info_nce(RIGHT, LEFT, 0.2), want)


def test_info_nce_of_one_node_or_of_none_is_zero() -> None:
    assert info_nce([[1.0, 2.0]], [[-1.0, 5.0]], 0.05) == 0.0
    assert info_nce([], [], 0.05) == 0.0


def test_info_nce_of_zero_vectors_is_the_log_of_their_number() -> None:
    close(info_nce([[0.0, 0.0]] * 3, [*LEFT, [1.0, 1.0]], 0.1), math.log(3))


def test_info_nce_is_finite_at_tiny_temperature() -> None:
    """Opposite partner, same direction as the other: the loss is 2/tau."""
    close(info_nce([[1.0], [-1.0]], [[-1.0], [1.0]], 1e-6), 2e6)


@pytest.mark.parametrize("tau", [0.05, 0.5, 2.0])
def test_info_nce_equals_a_dense_log_softmax(tau: float) -> None:
    rng = random.Random(7)
    a, b = random_matrix(rng, 11, 6), random_matrix(rng, 11, 6)
    left, right = np.array(a), np.array(b)
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    logits = left @ right.T / tau
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    close(info_nce(a, b, tau), -np.mean(np.diag(log_softmax)), 1e-12)


def contrast_views() -> Views:
    """Users, videos and vloggers that all have the hand values of InfoNCE above."""
    left, right = [[8.0, 8.0], *LEFT], [[8.0, 8.0], *RIGHT]
    return Views(u1=left, v1=left, p1=left, u2=right, v2=right, p2=right)


def test_contrast_is_the_mean_over_the_three_node_types() -> None:
    """Only vlogger 1 is known, so its term is log 1 = 0, and the mean is still over three."""
    got = contrast(contrast_views(), [2, 1], [1, 2], [0, 1, 2], None, 0.2)
    close(got, NCE)
    close(contrast(contrast_views(), [2, 1], [1, 2], [0, 1, 0], None, 0.2), 2 * NCE / 3)
    close(contrast(contrast_views(), [2, 1], [1, 2], [0, 0, 0], None, 0.2), 2 * NCE / 3)


def test_contrast_of_unique_nodes_ignores_repeats() -> None:
    got = contrast(contrast_views(), [1, 1, 2, 1], [2, 1, 1, 1], [0, 1, 2], None, 0.2)
    close(got, NCE)


def test_contrast_with_repeats_makes_a_node_its_own_negative() -> None:
    """Users 1, 1, 2 have logits 5, 5, 3 twice and 0, 0, 4; so have the videos.

    Vloggers 1, 1 (video 2 has none): log 2.
    """
    nodes = (2 * math.log(2 + math.exp(-2)) + math.log(1 + 2 * math.exp(-4))) / 3
    got = contrast(contrast_views(), [1, 1, 2], [1, 1, 2], [0, 1, 0], None, 0.2, repeats=True)
    close(got, (2 * nodes + math.log(2)) / 3)


def test_contrast_sends_both_views_through_the_head_of_their_type() -> None:
    rng = random.Random(5)
    heads: Heads = {
        "user": random_head(rng, 2),
        "video": random_head(rng, 2),
        "vlogger": random_head(rng, 2),
    }
    terms = [
        info_nce([project(x, head) for x in LEFT], [project(x, head) for x in RIGHT], 0.3)
        for head in (heads["user"], heads["video"], heads["vlogger"])
    ]
    got = contrast(contrast_views(), [1, 2], [1, 2], [0, 1, 2], heads, 0.3)
    close(got, sum(terms) / 3)


BATCH = Batch(users=[1, 2], pos=[1, 3], neg=[3, 1], aux_users=[1], aux_pos=[1], aux_neg=[2])

# Squared lengths in hand_case: users 9 and 9; videos 3, 3 and 3 (1 + 1/16) = 51/16; vlogger 1
# 9/2 + (25/2 + 3 + 5 r6) = 20 + 5 r6; vlogger 2 18 + (25/2 + 27 + 15 r6) = 115/2 + 15 r6.
BATCH_USERS = 3 * 9  # 1, 2 and the auxiliary 1
BATCH_VIDEOS = 2 * (3 + 51 / 16)  # 1, 3 and 3, 1
BATCH_VLOGGERS = 3 * (20 + 5 * R6 + 115 / 2 + 15 * R6)  # of 1, 3; of 3, 1; the auxiliary pair


def test_regulariser_of_hand_values() -> None:
    bundle, _ = hand_case()
    close(regulariser(bundle, BATCH), (BATCH_USERS + BATCH_VIDEOS + BATCH_VLOGGERS) / 4)


def test_regulariser_leaves_out_the_table_of_a_missing_view() -> None:
    bundle, _ = hand_case()
    no_vloggers, no_videos = replace(bundle, views="video"), replace(bundle, views="vlogger")
    close(regulariser(no_vloggers, BATCH), (BATCH_USERS + BATCH_VIDEOS) / 4)
    close(regulariser(no_videos, BATCH), (BATCH_USERS + BATCH_VLOGGERS) / 4)


def test_regulariser_leaves_out_unknown_vloggers_and_divides_by_the_main_triples() -> None:
    """Unknown case, one main triple (2, 1, 3): users 9, videos 3 + 51/16, vlogger 1: 9."""
    bundle, _ = unknown_case()
    batch = Batch(users=[2], pos=[1], neg=[3], aux_users=[], aux_pos=[], aux_neg=[])
    close(regulariser(bundle, batch), (9 + 3 + 51 / 16 + 9) / 2)
    two = replace(batch, aux_users=[1, 2], aux_pos=[1, 1], aux_neg=[2, 2])
    close(regulariser(bundle, two), (9 + 3 + 51 / 16 + 9 + 18 + 2 * 9 + 2 * 45) / 2)


def test_loss_terms_equal_the_hand_derivation() -> None:
    """From the scores of hand_case; the contrast of vlogger vectors is left to other tests."""
    bundle, expected = hand_case()
    terms = loss_terms(replace(bundle, tau=0.2), BATCH)
    s, y = expected["scores"], expected["vlogger_scores"]
    main = [math.log1p(math.exp(s[1, 3] - s[1, 1])), math.log1p(math.exp(s[2, 1] - s[2, 3]))]
    close(terms["bpr"], sum(main) / 2)
    close(terms["aux"], math.log1p(math.exp(y[1, 2] - y[1, 1])))
    close(terms["ssl"], contrast(compute_views(bundle), [1, 2], [1, 3], [0, 1, 1, 2], None, 0.2))
    close(terms["reg"], (BATCH_USERS + BATCH_VIDEOS + BATCH_VLOGGERS) / 4)
    assert terms["ssl"] > 0.0


def test_contrast_is_off_without_two_views() -> None:
    bundle, _ = hand_case()
    assert loss_terms(replace(bundle, views="video"), BATCH)["ssl"] == 0.0
    assert loss_terms(replace(bundle, views="vlogger"), BATCH)["ssl"] == 0.0


def test_auxiliary_loss_without_triples_is_zero() -> None:
    bundle, _ = hand_case()
    assert loss_terms(bundle, replace(BATCH, aux_users=[], aux_pos=[], aux_neg=[]))["aux"] == 0.0


def test_total_loss_weighs_the_terms() -> None:
    terms = {"bpr": 1.0, "aux": 10.0, "ssl": 100.0, "reg": 1000.0}
    assert total_loss(terms, 5.0, 0.5, 0.25) == 1.0 + 50.0 + 50.0 + 250.0


# ----------------------------------------------------------------------------------- walks


def test_walk_expectation_of_hand_values() -> None:
    """hand_case at p = 0.4, q = 0.1: p q = 0.04, p (1 - q) = 0.36.

    First draw. u1 has a1 only. U-P-U goes to u2, the other user of a1, with u1's v1 and v2: 0.04
    each. U-P-V takes v1 or v2: 0.18 each.
    u2 has a1 and a2, half each. Over a1: U-P-U to u1 with u2's v2 and v3: 0.02 each; U-P-V takes v1
    or v2: 0.09 each. Over a2, which has no other user: U-P-U is skipped; U-P-V takes v3: 0.18.

    Second draw. u1: v1 has no other user; v2 leads to u2 with a1: 0.4/2 * 0.1 = 0.02. u2: v2 leads
    to u1 with a1 and a2: 0.02 each; v3 has no other user.
    """
    bundle, _ = hand_case()
    on_r, on_s = walk_expectation(bundle.r_edges, bundle.vlogger_of, 3, 4, 3, 0.4, 0.1)
    close_edges(
        on_r,
        {
            (1, 1): 0.18,
            (1, 2): 0.18 + 0.02,
            (1, 3): 0.02,
            (2, 1): 0.04 + 0.09,
            (2, 2): 0.04 + 0.09,
            (2, 3): 0.18,
        },
    )
    close_edges(on_s, {(2, 1): 0.02, (1, 1): 0.02, (1, 2): 0.02})


def test_walk_expectation_with_an_unknown_vlogger() -> None:
    """v3 unknown: u2 now has a1 only, yet its U-P-U still carries v3, which U-P-V never takes."""
    bundle, _ = unknown_case()
    on_r, on_s = walk_expectation(bundle.r_edges, bundle.vlogger_of, 3, 4, 3, 0.4, 0.1)
    close_edges(
        on_r,
        {
            (1, 1): 0.18,
            (1, 2): 0.18 + 0.04,
            (1, 3): 0.04,
            (2, 1): 0.04 + 0.18,
            (2, 2): 0.04 + 0.18,
        },
    )
    close_edges(on_s, {(2, 1): 0.02, (1, 1): 0.02})


def test_walks_reach_videos_of_the_vlogger_nobody_has_seen() -> None:
    """One user, one seen video, a second one of the same vlogger: U-P-V takes either."""
    on_r, on_s = walk_expectation({(1, 1): 1.0}, [0, 1, 1], 2, 3, 2, 1.0, 0.0)
    close_edges(on_r, {(1, 1): 0.5, (1, 2): 0.5})
    assert on_s == {}


def test_users_without_history_and_lonely_users_walk_nowhere() -> None:
    assert walk_expectation({}, [0, 1], 3, 2, 2, 0.4, 0.1) == ({}, {})
    assert walk_expectation({(1, 1): 1.0}, [0, 1], 3, 2, 2, 0.4, 1.0) == ({}, {})


def test_a_vlogger_is_drawn_once_however_many_of_its_videos_were_seen() -> None:
    """Three videos of a1 and one of a2: each vlogger has probability one half."""
    r_edges = {(1, v): 1.0 for v in (1, 2, 3, 4)}
    on_r, _ = walk_expectation(r_edges, [0, 1, 1, 1, 2], 2, 5, 3, 1.0, 0.0)
    close_edges(on_r, {(1, 1): 1 / 6, (1, 2): 1 / 6, (1, 3): 1 / 6, (1, 4): 1 / 2})


def simulate(
    rng: random.Random, r_edges: Edges, vlogger_of: list[int], n_users: int, p: float, q: float
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """One draw of each kind by each user, word for word as §1 has it."""
    on_r: list[tuple[int, int]] = []
    on_s: list[tuple[int, int]] = []
    history = {u: videos_of_user(r_edges, u) for u in range(1, n_users)}
    own = {u: vloggers_of_user(r_edges, vlogger_of, u) for u in range(1, n_users)}
    for u in range(1, n_users):
        if own[u] and rng.random() < p:
            a = rng.choice(own[u])
            if rng.random() < q:
                others = [w for w in own if w != u and a in own[w]]
                if others:
                    w = rng.choice(others)
                    on_r += [(w, v) for v in history[u]]
            else:
                on_r.append((u, rng.choice(videos_of_vlogger(vlogger_of, a))))
        if history[u] and rng.random() < p:
            video = rng.choice(history[u])
            if rng.random() < q:
                others = [w for w in history if w != u and video in history[w]]
                if others:
                    w = rng.choice(others)
                    on_s += [(w, a) for a in own[u]]
    return on_r, on_s


def test_walk_expectation_equals_the_mean_of_simulated_walks() -> None:
    rng = random.Random(11)
    n_users, n_videos, n_vloggers, rounds = 6, 9, 4, 6000
    vlogger_of = [0, 1, 1, 2, 2, 2, 3, 0, 3]
    r_edges = {(u, v): 1.0 for u in range(1, 5) for v in range(1, 8) if rng.random() < 0.5}
    want = walk_expectation(r_edges, vlogger_of, n_users, n_videos, n_vloggers, 0.8, 0.5)
    counts: tuple[Edges, Edges] = ({}, {})
    for _ in range(rounds):
        for count, added in zip(counts, simulate(rng, r_edges, vlogger_of, n_users, 0.8, 0.5), strict=True):
            for pair in added:
                count[pair] = count.get(pair, 0.0) + 1.0
    for count, mean in zip(counts, want, strict=True):
        assert count.keys() == mean.keys()
        for pair, value in mean.items():
            # Users draw independently and each adds 0 or 1 to an entry: the variance of a round
            # is at most the mean. Five standard errors.
            assert abs(count[pair] / rounds - value) < 5.0 * math.sqrt(value / rounds)


def test_reference_needs_nothing_but_the_standard_library() -> None:
    import ast
    from pathlib import Path

    tree = ast.parse((Path(__file__).parent / "reference.py").read_text())
    modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    modules |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert modules == {"math", "collections.abc", "dataclasses", "typing"}
