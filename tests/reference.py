"""A deliberately naive VA-GNN, to compare the production code with.

Lai, Jin, Li, Zheng, Zhao, "A Vlogger-augmented Graph Neural Network Model for Micro-video
Recommendation", arXiv 2405.18260. Section signs (§) are those of the project's specification of
the model (``vagnn.md``).

Everything is ``float`` and ``list`` and a loop, with nothing but :mod:`math` underneath, and
nothing is shared with the production code: agreement between the two is evidence.

Conventions: in every node type (users, videos, vloggers) id 0 is RecBole's PAD, which has no edges.
``vlogger_of[v]`` is the vlogger of video ``v``, 0 when unknown.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict

Vec = list[float]
Matrix = list[Vec]
Edges = dict[tuple[int, int], float]
Mix = Literal["adaptive", "equal", "video", "vlogger"]
ViewChoice = Literal["both", "video", "vlogger"]


class Head(TypedDict):
    """The parameters of one projection head (§4), with the shapes of ``torch.nn.Linear``."""

    w1: Matrix
    b1: Vec
    w2: Matrix
    b2: Vec
    gamma: Vec
    beta: Vec
    eps: NotRequired[float]


class Heads(TypedDict):
    """One projection head per node type, shared by both views (§4)."""

    user: Head
    video: Head
    vlogger: Head


@dataclass(frozen=True)
class Bundle:
    """Everything the model is computed from.

    ``r_edges`` is R, the 0/1 training matrix; ``r_walk`` and ``s_walk`` are R' and S', the weighted
    edges after the walks of §1 (R and S themselves where meta-paths are off).
    """

    user_emb: Matrix
    video_emb: Matrix
    vlogger_emb: Matrix
    r_edges: Edges
    r_walk: Edges
    s_walk: Edges
    vlogger_of: list[int]
    q: Matrix
    n_layers: int = 2
    heads: Heads | None = None
    mix: Mix = "adaptive"
    views: ViewChoice = "both"
    tau: float = 0.05
    repeats: bool = False


@dataclass(frozen=True)
class Views:
    """The node vectors of the video view (u1, v1, p1) and of the vlogger view (u2, v2, p2), §2."""

    u1: Matrix
    v1: Matrix
    p1: Matrix
    u2: Matrix
    v2: Matrix
    p2: Matrix


@dataclass(frozen=True)
class Batch:
    """Main triples (user, positive video, negative video) and auxiliary triples (user, p+, p-)."""

    users: list[int]
    pos: list[int]
    neg: list[int]
    aux_users: list[int]
    aux_pos: list[int]
    aux_neg: list[int]


# ---------------------------------------------------------------------------------- vectors


def dot(a: Vec, b: Vec) -> float:
    """Inner product."""
    assert len(a) == len(b)
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def add(a: Vec, b: Vec) -> Vec:
    """Sum of two vectors."""
    return [x + y for x, y in zip(a, b, strict=True)]


def scale(c: float, a: Vec) -> Vec:
    """A vector times a number."""
    return [c * x for x in a]


def l2norm(a: Vec) -> Vec:
    """``a`` at length one; the zero vector stays zero."""
    length = math.sqrt(dot(a, a))
    return list(a) if length == 0.0 else scale(1.0 / length, a)


def matvec(m: Matrix, a: Vec) -> Vec:
    """Matrix times vector."""
    return [dot(row, a) for row in m]


def zeros_like(m: Matrix) -> Matrix:
    """A zero matrix of the same shape."""
    return [[0.0] * len(row) for row in m]


def sigmoid(x: float) -> float:
    """Logistic function, safe for large ``|x|``."""
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))


def softplus(x: float) -> float:
    """log(1 + exp(x)), safe for large ``|x|``."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def log_sum_exp(xs: Vec) -> float:
    """log of the sum of exponentials, with the maximum taken out."""
    top = max(xs)
    return top + math.log(math.fsum(math.exp(x - top) for x in xs))


# ------------------------------------------------------------------- §1: walks, in expectation


def videos_of_user(r_edges: Edges, u: int) -> list[int]:
    """The distinct training videos of a user."""
    return sorted({v for (w, v) in r_edges if w == u})


def users_of_video(r_edges: Edges, v: int) -> list[int]:
    """The distinct users of a video in training."""
    return sorted({u for (u, w) in r_edges if w == v})


def vloggers_of_user(r_edges: Edges, vlogger_of: list[int], u: int) -> list[int]:
    """The distinct known vloggers of a user's training videos."""
    return sorted({vlogger_of[v] for v in videos_of_user(r_edges, u) if vlogger_of[v] != 0})


def users_of_vlogger(r_edges: Edges, vlogger_of: list[int], a: int) -> list[int]:
    """The distinct users with a training interaction with a vlogger."""
    return sorted({u for (u, v) in r_edges if vlogger_of[v] == a})


def videos_of_vlogger(vlogger_of: list[int], a: int) -> list[int]:
    """All videos of a vlogger, those without training interactions included."""
    return [v for v in range(1, len(vlogger_of)) if vlogger_of[v] == a]


def user_vlogger_counts(r_edges: Edges, vlogger_of: list[int]) -> Edges:
    """S = R C: how many of its training videos a user has from each known vlogger (Symbols)."""
    out: Edges = {}
    for (u, v), weight in r_edges.items():
        if vlogger_of[v] != 0:
            _bump(out, u, vlogger_of[v], weight)
    return out


def _bump(edges: Edges, row: int, col: int, amount: float) -> None:
    edges[(row, col)] = edges.get((row, col), 0.0) + amount


def _user_vlogger_walks(
    out: Edges, u: int, r_edges: Edges, vlogger_of: list[int], walk_prob: float, hop_prob: float
) -> None:
    """First draw of §1: U-P-U with ``hop_prob``, else U-P-V; both add to R'."""
    own = vloggers_of_user(r_edges, vlogger_of, u)
    for a in own:
        here = walk_prob / len(own)
        others = [w for w in users_of_vlogger(r_edges, vlogger_of, a) if w != u]
        for w in others:
            for v in videos_of_user(r_edges, u):
                _bump(out, w, v, here * hop_prob / len(others))
        candidates = videos_of_vlogger(vlogger_of, a)
        for v in candidates:
            _bump(out, u, v, here * (1.0 - hop_prob) / len(candidates))


def _user_video_walks(
    out: Edges, u: int, r_edges: Edges, vlogger_of: list[int], walk_prob: float, hop_prob: float
) -> None:
    """Second draw of §1: U-V-U with ``hop_prob``, else nothing; adds to S'."""
    own = videos_of_user(r_edges, u)
    for v in own:
        others = [w for w in users_of_video(r_edges, v) if w != u]
        for w in others:
            for a in vloggers_of_user(r_edges, vlogger_of, u):
                _bump(out, w, a, walk_prob / len(own) * hop_prob / len(others))


def walk_expectation(
    r_edges: Edges,
    vlogger_of: list[int],
    n_users: int,
    n_videos: int,
    n_vloggers: int,
    walk_prob: float,
    hop_prob: float,
) -> tuple[Edges, Edges]:
    """Expected +1s on R' and on S' when every user makes both draws of §1 once.

    Sizes count the PAD. Only entries with a positive expectation are listed.
    """
    assert all(0 < u < n_users and 0 < v < n_videos for u, v in r_edges)
    assert len(vlogger_of) == n_videos
    assert all(0 <= a < n_vloggers for a in vlogger_of)
    on_r: Edges = {}
    on_s: Edges = {}
    for u in range(1, n_users):
        _user_vlogger_walks(on_r, u, r_edges, vlogger_of, walk_prob, hop_prob)
        _user_video_walks(on_s, u, r_edges, vlogger_of, walk_prob, hop_prob)
    return (
        {key: value for key, value in on_r.items() if value > 0.0},
        {key: value for key, value in on_s.items() if value > 0.0},
    )


# ------------------------------------------------------------------------------ §2: the two views


def normalise(edges: Edges) -> Edges:
    """D^-1/2 M D^-1/2 of a weighted bipartite graph; degrees are sums of weights (§2)."""
    row: dict[int, float] = {}
    col: dict[int, float] = {}
    for (i, j), weight in edges.items():
        row[i] = row.get(i, 0.0) + weight
        col[j] = col.get(j, 0.0) + weight
    return {
        (i, j): weight / math.sqrt(row[i] * col[j]) for (i, j), weight in edges.items() if row[i] > 0.0 and col[j] > 0.0
    }


def _step(norm: Edges, left: Matrix, right: Matrix) -> tuple[Matrix, Matrix]:
    """One LightGCN layer: both sides from the other side's previous layer."""
    new_left, new_right = zeros_like(left), zeros_like(right)
    for (i, j), weight in norm.items():
        new_left[i] = add(new_left[i], scale(weight, right[j]))
        new_right[j] = add(new_right[j], scale(weight, left[i]))
    return new_left, new_right


def propagate(edges: Edges, left: Matrix, right: Matrix, n_layers: int) -> tuple[Matrix, Matrix]:
    """LightGCN propagation: the mean of layers 0..L, with X^(l+1) = norm X^(l) (§2).

    A node without edges has zero in every layer above the first.
    """
    norm = normalise(edges)
    sum_left, sum_right = [list(x) for x in left], [list(x) for x in right]
    for _ in range(n_layers):
        left, right = _step(norm, left, right)
        sum_left = [add(a, b) for a, b in zip(sum_left, left, strict=True)]
        sum_right = [add(a, b) for a, b in zip(sum_right, right, strict=True)]
    share = 1.0 / (n_layers + 1)
    return [scale(share, x) for x in sum_left], [scale(share, x) for x in sum_right]


def vlogger_means(v1: Matrix, vlogger_of: list[int], n_vloggers: int) -> Matrix:
    """p1 = l2norm(mean of v1 over all videos of the vlogger), zero for one without videos (§2)."""
    out = [[0.0] * len(v1[0]) for _ in range(n_vloggers)]
    for a in range(1, n_vloggers):
        members = videos_of_vlogger(vlogger_of, a)
        for v in members:
            out[a] = add(out[a], scale(1.0 / len(members), v1[v]))
    return [l2norm(x) for x in out]


def video_sums(u2: Matrix, r_edges: Edges, n_videos: int) -> Matrix:
    """v2 = l2norm(sum over u of R[u, v] / deg(u) u2[u]), with the plain 0/1 matrix R (§2)."""
    deg: dict[int, float] = {}
    for (u, _), weight in r_edges.items():
        deg[u] = deg.get(u, 0.0) + weight
    out = [[0.0] * len(u2[0]) for _ in range(n_videos)]
    for (u, v), weight in r_edges.items():
        out[v] = add(out[v], scale(weight / deg[u], u2[u]))
    return [l2norm(x) for x in out]


def video_view(
    user_emb: Matrix,
    video_emb: Matrix,
    r_walk: Edges,
    vlogger_of: list[int],
    n_vloggers: int,
    n_layers: int,
) -> tuple[Matrix, Matrix, Matrix]:
    """(u1, v1, p1): propagation over norm(R'), vloggers from their videos (§2)."""
    u1, v1 = propagate(r_walk, user_emb, video_emb, n_layers)
    return u1, v1, vlogger_means(v1, vlogger_of, n_vloggers)


def vlogger_view(
    user_emb: Matrix,
    vlogger_emb: Matrix,
    s_walk: Edges,
    r_edges: Edges,
    n_videos: int,
    n_layers: int,
) -> tuple[Matrix, Matrix, Matrix]:
    """(u2, v2, p2): propagation over norm(S'), videos from their users through R (§2)."""
    u2, p2 = propagate(s_walk, user_emb, vlogger_emb, n_layers)
    return u2, video_sums(u2, r_edges, n_videos), p2


def compute_views(b: Bundle) -> Views:
    """Both views of §2; a view that is switched off (§5) is zero throughout."""
    u1, v1, p1 = video_view(b.user_emb, b.video_emb, b.r_walk, b.vlogger_of, len(b.vlogger_emb), b.n_layers)
    u2, v2, p2 = vlogger_view(b.user_emb, b.vlogger_emb, b.s_walk, b.r_edges, len(b.video_emb), b.n_layers)
    if b.views == "video":
        u2, v2, p2 = zeros_like(u2), zeros_like(v2), zeros_like(p2)
    if b.views == "vlogger":
        u1, v1, p1 = zeros_like(u1), zeros_like(v1), zeros_like(p1)
    return Views(u1, v1, p1, u2, v2, p2)


# ------------------------------------------------------------------------------- §3: prediction


def seen_by_q(x1: Vec, x2: Vec, views: ViewChoice) -> Vec:
    """What Q sees of a node: the mean of its two views, or the only one there is (§3, §5)."""
    if views == "video":
        return x1
    if views == "vlogger":
        return x2
    return scale(0.5, add(x1, x2))


def mix_weights(
    v1: Matrix,
    v2: Matrix,
    p1: Matrix,
    p2: Matrix,
    q: Matrix,
    vlogger_of: list[int],
    mix: Mix = "adaptive",
    views: ViewChoice = "both",
) -> list[float]:
    """w_v of §3, or the constant that replaces it (§5); 1 where the vlogger is unknown."""
    constants: dict[str, float] = {"equal": 0.5, "video": 1.0, "vlogger": 0.0}
    out: list[float] = []
    for v, a in enumerate(vlogger_of):
        if a == 0:
            out.append(1.0)
        elif mix != "adaptive":
            out.append(constants[mix])
        else:
            video = seen_by_q(v1[v], v2[v], views)
            out.append(sigmoid(dot(video, matvec(q, seen_by_q(p1[a], p2[a], views)))))
    return out


def weights(b: Bundle, x: Views) -> list[float]:
    """w_v of every video of a bundle (§3)."""
    return mix_weights(x.v1, x.v2, x.p1, x.p2, b.q, b.vlogger_of, b.mix, b.views)


def vlogger_score(u: int, p: int, x: Views) -> float:
    """y(u, p) = u1.p1 + u2.p2, the score of the auxiliary task (§4)."""
    return dot(x.u1[u], x.p1[p]) + dot(x.u2[u], x.p2[p])


def score(u: int, v: int, x: Views, w: list[float], vlogger_of: list[int]) -> float:
    """s(u, v) = w_v (u1.v1 + u2.v2) + (1 - w_v)(u1.p1 + u2.p2), §3."""
    video_part = dot(x.u1[u], x.v1[v]) + dot(x.u2[u], x.v2[v])
    if vlogger_of[v] == 0:
        return video_part
    return w[v] * video_part + (1.0 - w[v]) * vlogger_score(u, vlogger_of[v], x)


def score_matrix(b: Bundle) -> Matrix:
    """s(u, v) for every user and video, the PADs included (§3)."""
    x = compute_views(b)
    w = weights(b, x)
    return [[score(u, v, x, w, b.vlogger_of) for v in range(len(b.video_emb))] for u in range(len(b.user_emb))]


# ------------------------------------------------------------------------------------ §4: losses


def mean(xs: Vec) -> float:
    """Arithmetic mean; 0 of nothing."""
    return math.fsum(xs) / len(xs) if xs else 0.0


def bpr(pos: Vec, neg: Vec) -> float:
    """mean softplus(-(pos - neg)), §4."""
    return mean([softplus(-(a - b)) for a, b in zip(pos, neg, strict=True)])


def gelu(x: float) -> float:
    """The exact GELU, x Phi(x)."""
    return 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0)))


def linear(m: Matrix, bias: Vec, x: Vec) -> Vec:
    """M x + b."""
    return add(matvec(m, x), bias)


def layer_norm(x: Vec, gamma: Vec, beta: Vec, eps: float) -> Vec:
    """Layer normalisation with the biased variance."""
    centred = [value - mean(x) for value in x]
    inverse = 1.0 / math.sqrt(dot(centred, centred) / len(x) + eps)
    return [c * inverse * g + b for c, g, b in zip(centred, gamma, beta, strict=True)]


def project(x: Vec, head: Head) -> Vec:
    """The projection head of §4 in evaluation mode.

    In training, dropout acts on the second linear's output, before the residual.
    """
    first = linear(head["w1"], head["b1"], x)
    second = linear(head["w2"], head["b2"], [gelu(value) for value in first])
    return layer_norm(add(first, second), head["gamma"], head["beta"], head.get("eps", 1e-5))


def info_nce(a: Matrix, b: Matrix, tau: float) -> float:
    """mean over i of -log softmax_j(cos(a_i, b_j) / tau)[i], §4; 0 of nothing."""
    left, right = [l2norm(x) for x in a], [l2norm(x) for x in b]
    losses: list[float] = []
    for i, row in enumerate(left):
        logits = [dot(row, other) / tau for other in right]
        losses.append(log_sum_exp(logits) - logits[i])
    return mean(losses)


def contrast_nodes(nodes: Iterable[int], repeats: bool) -> list[int]:
    """The nodes to contrast: each once, or as often as the batch has it (§4); never the PAD."""
    kept = [n for n in nodes if n != 0]
    return kept if repeats else sorted(set(kept))


def _contrast_type(x1: Matrix, x2: Matrix, nodes: list[int], head: Head | None, tau: float) -> float:
    left, right = [x1[n] for n in nodes], [x2[n] for n in nodes]
    if head is not None:
        left, right = [project(x, head) for x in left], [project(x, head) for x in right]
    return info_nce(left, right, tau)


def contrast(
    x: Views,
    users: list[int],
    videos: list[int],
    vlogger_of: list[int],
    heads: Heads | None,
    tau: float,
    repeats: bool = False,
) -> float:
    """CL of §4: the mean over the three node types of InfoNCE between the views.

    Over the batch's users, its positive videos, and the known vloggers of these. A type without a
    node counts as 0, and the mean is always over three. No heads: contrast of the vectors (§5).
    """
    vloggers = [vlogger_of[v] for v in videos]
    terms = [
        _contrast_type(x.u1, x.u2, contrast_nodes(users, repeats), heads["user"] if heads else None, tau),
        _contrast_type(x.v1, x.v2, contrast_nodes(videos, repeats), heads["video"] if heads else None, tau),
        _contrast_type(x.p1, x.p2, contrast_nodes(vloggers, repeats), heads["vlogger"] if heads else None, tau),
    ]
    return mean(terms)


def regulariser(b: Bundle, batch: Batch) -> float:
    """1/2 |Theta_batch|^2 / B over layer-0 embeddings (§4), repeats counted each time.

    The table that only a switched-off view reads (§5) is left out.
    """
    total = 0.0
    for u in batch.users + batch.aux_users:
        total += dot(b.user_emb[u], b.user_emb[u])
    if b.views != "vlogger":
        for v in batch.pos + batch.neg:
            total += dot(b.video_emb[v], b.video_emb[v])
    if b.views != "video":
        owners = [b.vlogger_of[v] for v in batch.pos + batch.neg]
        for a in [a for a in owners if a != 0] + batch.aux_pos + batch.aux_neg:
            total += dot(b.vlogger_emb[a], b.vlogger_emb[a])
    return 0.5 * total / len(batch.users)


def loss_terms(b: Bundle, batch: Batch) -> dict[str, float]:
    """The unweighted terms of L (§4): ``bpr``, ``aux``, ``ssl``, ``reg``.

    The contrast needs two views and is 0 where one is switched off (§5).
    """
    x = compute_views(b)
    w = weights(b, x)
    pos = [score(u, v, x, w, b.vlogger_of) for u, v in zip(batch.users, batch.pos, strict=True)]
    neg = [score(u, v, x, w, b.vlogger_of) for u, v in zip(batch.users, batch.neg, strict=True)]
    aux_pos = [vlogger_score(u, a, x) for u, a in zip(batch.aux_users, batch.aux_pos, strict=True)]
    aux_neg = [vlogger_score(u, a, x) for u, a in zip(batch.aux_users, batch.aux_neg, strict=True)]
    ssl = 0.0
    if b.views == "both":
        ssl = contrast(x, batch.users, batch.pos, b.vlogger_of, b.heads, b.tau, b.repeats)
    return {
        "bpr": bpr(pos, neg),
        "aux": bpr(aux_pos, aux_neg),
        "ssl": ssl,
        "reg": regulariser(b, batch),
    }


def total_loss(terms: dict[str, float], aux_weight: float, ssl_weight: float, reg_weight: float) -> float:
    """L = BPR + lambda1 aux + lambda2 CL + lambda3 reg (§4)."""
    weighted = aux_weight * terms["aux"] + ssl_weight * terms["ssl"] + reg_weight * terms["reg"]
    return terms["bpr"] + weighted
