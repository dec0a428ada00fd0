"""Two cases of the model worked by hand: 2 users, 3 videos, 2 vloggers, d = 2, L = 2.

Every number below was derived on paper from §2 and §3 of ``vagnn.md`` (arXiv 2405.18260), not by
running a program. Ids start at 1; row 0 is the PAD, whose embedding is not zero on purpose: it has
no edges, so a propagated PAD is a third of it, and nothing else may see it.

Graph, shared by both cases::

    R    v1 v2 v3       R'   v1 v2 v3      R' is R after both users drew U-P-V and both took v2.
    u1    1  1  .       u1    1  2  .
    u2    .  1  1       u2    .  2  1

Video view. Degrees in R' are 3, 3 for the users and 1, 4, 1 for the videos, so the entries of
norm(R') are 1/sqrt(3 * 1) and 2/sqrt(3 * 4), that is 1/sqrt(3) on all four edges. Write r3 for
sqrt(3), and let the video embeddings be r3 f with f1 = (0, 1), f2 = (1, 0), f3 = (-1, 1/4);
the users are u1 = (3, 0), u2 = (0, 3).

    layer 1  u1 = f1 + f2 = (1, 1)                      v1 = u1/r3 = r3 (1, 0)
             u2 = f2 + f3 = (0, 1/4)                    v2 = (u1 + u2)/r3 = r3 (1, 1)
                                                        v3 = u2/r3 = r3 (0, 1)
    layer 2  u1 = (1, 0) + (1, 1) = (2, 1)              v1 = (1, 1)/r3 = r3 (1/3, 1/3)
             u2 = (1, 1) + (0, 1) = (1, 2)              v2 = (1, 5/4)/r3 = r3 (1/3, 5/12)
                                                        v3 = (0, 1/4)/r3 = r3 (0, 1/12)
    mean     u1 = (3+1+2, 0+1+1)/3 = (2, 2/3)
             u2 = (0+0+1, 3+1/4+2)/3 = (1/3, 7/4)
             v1 = r3 (0+1+1/3, 1+0+1/3)/3 = r3 (4/9, 4/9)
             v2 = r3 (1+1+1/3, 0+1+5/12)/3 = r3 (7/9, 17/36)
             v3 = r3 (-1+0+0, 1/4+1+1/12)/3 = r3 (-1/3, 4/9)
"""

import math
from typing import TypedDict

from tests.reference import Bundle, Edges, Matrix

R2, R3, R6 = math.sqrt(2), math.sqrt(3), math.sqrt(6)

Pairs = dict[tuple[int, int], float]


class Expected(TypedDict):
    """What a case must give: node vectors and w by id with the PAD first, scores by pair."""

    u1: Matrix
    v1: Matrix
    p1: Matrix
    u2: Matrix
    v2: Matrix
    p2: Matrix
    w: list[float]
    scores: Pairs
    vlogger_scores: Pairs


R_EDGES: Edges = {(1, 1): 1.0, (1, 2): 1.0, (2, 2): 1.0, (2, 3): 1.0}
R_WALK: Edges = {(1, 1): 1.0, (1, 2): 2.0, (2, 2): 2.0, (2, 3): 1.0}

USER_EMB: Matrix = [[6.0, -6.0], [3.0, 0.0], [0.0, 3.0]]
VIDEO_EMB: Matrix = [[-3.0, 9.0], [0.0, R3], [R3, 0.0], [-R3, R3 / 4]]

# Neither symmetric nor diagonal, so that a transposed Q shows: x'Qy = x_1 y_2 / 2 - x_2 y_1 / 4.
Q: Matrix = [[0.0, 0.5], [-0.25, 0.0]]

U1: Matrix = [[2.0, -2.0], [2.0, 2 / 3], [1 / 3, 7 / 4]]
V1: Matrix = [
    [-1.0, 3.0],
    [4 * R3 / 9, 4 * R3 / 9],
    [7 * R3 / 9, 17 * R3 / 36],
    [-R3 / 3, 4 * R3 / 9],
]


def logistic(z: float) -> float:
    """1 / (1 + exp(-z))."""
    return 1 / (1 + math.exp(-z))


def hand_case() -> tuple[Bundle, Expected]:
    """The bundle and what it must give.

    Vloggers: v1 and v2 are of a1, v3 is of a2. With S' = S after u1 drew U-V-U over v2::

        S    a1 a2      S'   a1 a2      degrees in S': users 2, 3; vloggers 4, 1
        u1    2  .      u1    2  .      norm: 2/sqrt(2 * 4) = 1/r2    .
        u2    1  1      u2    2  1            2/sqrt(3 * 4) = 1/r3    1/sqrt(3 * 1) = 1/r3

    p1: v1 + v2 = r3 (11/9, 33/36) = (11 r3/9)(1, 3/4), direction (4, 3)/5; v3 = (r3/9)(-3, 4),
    direction (-3, 4)/5.

    Vlogger view, a1 = (3 r2/2, -5 r2/2 - r3), a2 = (-3 r2, 5 r2/2 + 3 r3), whose sum is
    (-3 r2/2, 2 r3)::

        layer 1  u1 = a1/r2 = (3/2, -5/2 - r6/2)        a1 = u1/r2 + u2/r3 = (3 r2/2, r3)
                 u2 = (a1 + a2)/r3 = (-r6/2, 2)         a2 = u2/r3 = (0, r3)
        layer 2  u1 = (3/2, r6/2)                       a1 = (3 r2/4 - r2/2,
                 u2 = (3 r2/2, 2 r3)/r3 = (r6/2, 2)           -5 r2/4 - r3/2 + 2 r3/3)
                                                           = (r2/4, -5 r2/4 + r3/6)
                                                        a2 = (-r2/2, 2 r3/3)
        mean     u1 = (3 + 3/2 + 3/2, -5/2)/3 = (2, -5/6)
                 u2 = (0, 3 + 2 + 2)/3 = (0, 7/3)
                 a1 = (3 r2/2 + 3 r2/2 + r2/4, -5 r2/2 - r3 + r3 - 5 r2/4 + r3/6)/3
                    = (13 r2/12, -5 r2/4 + r3/18)
                 a2 = (-3 r2 - r2/2, 5 r2/2 + 3 r3 + r3 + 2 r3/3)/3
                    = (-7 r2/6, 5 r2/6 + 14 r3/9)

    v2, by the plain R with degrees 2 and 2: v1 from u1/2, direction (12, -5)/13; v2 from
    (u1 + u2)/2 = (1, 3/4), direction (4, 3)/5; v3 from u2/2, direction (0, 1).

    Video parts u1.v1 + u2.v2 (the vlogger-view user times a direction)::

        u1  v1  r3 (8/9 + 8/27) + (24/13 + 25/78)      = 32 r3/27 + 13/6
            v2  r3 (14/9 + 17/54) + (8/5 - 1/2)        = 101 r3/54 + 11/10
            v3  r3 (-2/3 + 8/27) - 5/6                 = -10 r3/27 - 5/6
        u2  v1  r3 (4/27 + 7/9) - 35/39                = 25 r3/27 - 35/39
            v2  r3 (7/27 + 119/144) + 7/5              = 469 r3/432 + 7/5
            v3  r3 (-1/9 + 7/9) + 7/3                  = 2 r3/3 + 7/3

    Vlogger parts y = u1.p1 + u2.p2::

        u1  a1  (8/5 + 2/5) + (13 r2/6 + 25 r2/24 - 5 r3/108)   = 2 + 77 r2/24 - 5 r3/108
            a2  (-6/5 + 8/15) + (-7 r2/3 - 25 r2/36 - 35 r3/27) = -2/3 - 109 r2/36 - 35 r3/27
        u2  a1  (4/15 + 21/20) + (7/3)(-5 r2/4 + r3/18)         = 79/60 - 35 r2/12 + 7 r3/54
            a2  (-1/5 + 7/5) + (7/3)(5 r2/6 + 14 r3/9)          = 6/5 + 35 r2/18 + 98 r3/27

    w_v = sigmoid(z_v), z_v = (m'Qn)/4 = (2 m_1 n_2 - m_2 n_1)/16 with m = v1 + v2 of the video and
    n = p1 + p2 of its vlogger.
    """
    bundle = Bundle(
        user_emb=[list(row) for row in USER_EMB],
        video_emb=[list(row) for row in VIDEO_EMB],
        vlogger_emb=[
            [9.0, 6.0],
            [3 * R2 / 2, -5 * R2 / 2 - R3],
            [-3 * R2, 5 * R2 / 2 + 3 * R3],
        ],
        r_edges=dict(R_EDGES),
        r_walk=dict(R_WALK),
        s_walk={(1, 1): 2.0, (2, 1): 2.0, (2, 2): 1.0},
        vlogger_of=[0, 1, 1, 2],
        q=[list(row) for row in Q],
        n_layers=2,
    )
    n1 = (4 / 5 + 13 * R2 / 12, 3 / 5 - 5 * R2 / 4 + R3 / 18)
    n2 = (-3 / 5 - 7 * R2 / 6, 4 / 5 + 5 * R2 / 6 + 14 * R3 / 9)
    m1 = (4 * R3 / 9 + 12 / 13, 4 * R3 / 9 - 5 / 13)
    m2 = (7 * R3 / 9 + 4 / 5, 17 * R3 / 36 + 3 / 5)
    m3 = (-R3 / 3, 4 * R3 / 9 + 1)
    w = [
        1.0,
        logistic((2 * m1[0] * n1[1] - m1[1] * n1[0]) / 16),
        logistic((2 * m2[0] * n1[1] - m2[1] * n1[0]) / 16),
        logistic((2 * m3[0] * n2[1] - m3[1] * n2[0]) / 16),
    ]
    y = {
        (1, 1): 2 + 77 * R2 / 24 - 5 * R3 / 108,
        (1, 2): -2 / 3 - 109 * R2 / 36 - 35 * R3 / 27,
        (2, 1): 79 / 60 - 35 * R2 / 12 + 7 * R3 / 54,
        (2, 2): 6 / 5 + 35 * R2 / 18 + 98 * R3 / 27,
    }
    s = {
        (1, 1): w[1] * (32 * R3 / 27 + 13 / 6) + (1 - w[1]) * y[1, 1],
        (1, 2): w[2] * (101 * R3 / 54 + 11 / 10) + (1 - w[2]) * y[1, 1],
        (1, 3): w[3] * (-10 * R3 / 27 - 5 / 6) + (1 - w[3]) * y[1, 2],
        (2, 1): w[1] * (25 * R3 / 27 - 35 / 39) + (1 - w[1]) * y[2, 1],
        (2, 2): w[2] * (469 * R3 / 432 + 7 / 5) + (1 - w[2]) * y[2, 1],
        (2, 3): w[3] * (2 * R3 / 3 + 7 / 3) + (1 - w[3]) * y[2, 2],
    }
    expected: Expected = {
        "u1": U1,
        "v1": V1,
        "p1": [[0.0, 0.0], [4 / 5, 3 / 5], [-3 / 5, 4 / 5]],
        "u2": [[2.0, -2.0], [2.0, -5 / 6], [0.0, 7 / 3]],
        "v2": [[0.0, 0.0], [12 / 13, -5 / 13], [4 / 5, 3 / 5], [0.0, 1.0]],
        "p2": [
            [3.0, 2.0],
            [13 * R2 / 12, -5 * R2 / 4 + R3 / 18],
            [-7 * R2 / 6, 5 * R2 / 6 + 14 * R3 / 9],
        ],
        "w": w,
        "scores": s,
        "vlogger_scores": y,
    }
    return bundle, expected


def unknown_case() -> tuple[Bundle, Expected]:
    """As :func:`hand_case`, with the vlogger of v3 unknown and so a2 without videos and edges.

    The video view is unchanged, but p1 of a2 is the zero vector. With u1's U-V-U over v2::

        S    a1      S'   a1      degrees in S': users 2, 2; a1 has 4
        u1    2      u1    2      norm: 2/sqrt(2 * 4) = 1/r2 on both edges
        u2    1      u2    2

    Vlogger view, a1 = (-3 r2/2, -3 r2/2), a2 = (6, -3)::

        layer 1  u1 = u2 = a1/r2 = (-3/2, -3/2)         a1 = (u1 + u2)/r2 = (3 r2/2, 3 r2/2)
        layer 2  u1 = u2 = (3/2, 3/2)                   a1 = -(3, 3)/r2 = (-3 r2/2, -3 r2/2)
        mean     u1 = (3, 0)/3 = (1, 0)                 a1 = (-r2/2, -r2/2)
                 u2 = (0, 3)/3 = (0, 1)                 a2 = (6, -3)/3 = (2, -1)

    v2: v1 (1, 0); v2 (1, 1)/r2; v3 (0, 1). Video parts: the first summands of hand_case, plus
    1, r2/2, 0 for u1 and 0, r2/2, 1 for u2. y: 2 - r2/2 and 79/60 - r2/2 with a1; with a2 only the
    vlogger view counts: 2 and -1.
    v3 has w = 1 and is scored by its video part alone.
    """
    base = hand_case()[0]
    bundle = Bundle(
        user_emb=base.user_emb,
        video_emb=base.video_emb,
        vlogger_emb=[[9.0, 6.0], [-3 * R2 / 2, -3 * R2 / 2], [6.0, -3.0]],
        r_edges=base.r_edges,
        r_walk=base.r_walk,
        s_walk={(1, 1): 2.0, (2, 1): 2.0},
        vlogger_of=[0, 1, 1, 0],
        q=base.q,
        n_layers=2,
    )
    n1 = (4 / 5 - R2 / 2, 3 / 5 - R2 / 2)
    m1 = (4 * R3 / 9 + 1, 4 * R3 / 9)
    m2 = (7 * R3 / 9 + R2 / 2, 17 * R3 / 36 + R2 / 2)
    w = [
        1.0,
        logistic((2 * m1[0] * n1[1] - m1[1] * n1[0]) / 16),
        logistic((2 * m2[0] * n1[1] - m2[1] * n1[0]) / 16),
        1.0,
    ]
    y = {(1, 1): 2 - R2 / 2, (1, 2): 2.0, (2, 1): 79 / 60 - R2 / 2, (2, 2): -1.0}
    s = {
        (1, 1): w[1] * (32 * R3 / 27 + 1) + (1 - w[1]) * y[1, 1],
        (1, 2): w[2] * (101 * R3 / 54 + R2 / 2) + (1 - w[2]) * y[1, 1],
        (1, 3): -10 * R3 / 27,
        (2, 1): w[1] * (25 * R3 / 27) + (1 - w[1]) * y[2, 1],
        (2, 2): w[2] * (469 * R3 / 432 + R2 / 2) + (1 - w[2]) * y[2, 1],
        (2, 3): 2 * R3 / 3 + 1,
    }
    expected: Expected = {
        "u1": U1,
        "v1": V1,
        "p1": [[0.0, 0.0], [4 / 5, 3 / 5], [0.0, 0.0]],
        "u2": [[2.0, -2.0], [1.0, 0.0], [0.0, 1.0]],
        "v2": [[0.0, 0.0], [1.0, 0.0], [R2 / 2, R2 / 2], [0.0, 1.0]],
        "p2": [[3.0, 2.0], [-R2 / 2, -R2 / 2], [2.0, -1.0]],
        "w": w,
        "scores": s,
        "vlogger_scores": y,
    }
    return bundle, expected
