"""Small random data sets and the bridge from a model to the plain-Python reference."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import scipy.sparse as sp
import torch

from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.models.vagnn import VAGNN
from tests.helpers import Rows, load_splits, make_config, write_dataset
from tests.reference import Batch, Bundle, Edges, Head, Heads

# The options that make a test model small; every test may override them.
SMALL = {"embedding_size": 5, "head_size": 3, "train_batch_size": 16}
RANDOM_SPLIT = {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "group_by": "none", "mode": "full"}}


def random_rows(seed: int, n_users: int, n_items: int, n_vloggers: int, history: tuple[int, int]) -> tuple[Rows, Rows]:
    """Rows of an ``.inter`` and an ``.item`` file.

    Every fourth video has no known vlogger, vlogger ``lone`` has one video that one user has seen first (and so
    in training), vlogger ``cold`` has one video that nobody has seen.
    """
    rng = random.Random(seed)
    inter = [["u0", "v_lone", 0]]
    for u in range(n_users):
        seen = rng.sample(range(n_items), rng.randint(*history))
        inter += [[f"u{u}", f"v{v}", 1 + t] for t, v in enumerate(seen)]
    item = [[f"v{v}", "" if v % 4 == 3 else f"a{rng.randrange(n_vloggers)}"] for v in range(n_items)]
    return inter, [*item, ["v_lone", "lone"], ["v_cold", "cold"], ["v_nobody", ""]]


def random_follows(seed: int, n_users: int, n_vloggers: int) -> Rows:
    """Rows of a ``.follow`` file without times."""
    rng = random.Random(seed)
    return [[f"u{u}", f"a{a}"] for u in range(n_users) for a in rng.sample(range(n_vloggers), 2)]


def training_split(folder: Path, kind: str) -> tuple[Path, VloggerDataset, dict[str, Any]]:
    """One of the data sets the model is compared on: its folder, training split and split options."""
    options: dict[str, Any] = {}
    if kind == "leave-one-out":
        write_dataset(folder, *random_rows(1, 9, 14, 4, (3, 7)))
    elif kind == "random split":
        options = RANDOM_SPLIT
        write_dataset(folder, *random_rows(2, 12, 12, 3, (1, 4)))
    elif kind == "follow":
        write_dataset(folder, *random_rows(3, 7, 20, 6, (4, 9)), random_follows(3, 7, 6))
    else:
        raise ValueError(kind)
    splits = load_splits(folder, {**SMALL, **options})[1]
    return folder, splits[0], options


def build(folder: Path, train: VloggerDataset, options: Mapping[str, Any] | None = None) -> VAGNN:
    """A VAGNN with the small defaults and ``options``, its parameters drawn under seed 7."""
    config = make_config(folder, {**SMALL, **(options or {})})
    torch.manual_seed(7)
    return VAGNN(config, train)


def spread_parameters(model: VAGNN, seed: int = 11) -> VAGNN:
    """In float64 and evaluation mode, every parameter standard normal: weights far from 1/2, heads not trivial."""
    generator = torch.Generator().manual_seed(seed)
    model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def edges_of(matrix: sp.spmatrix) -> Edges:
    """The entries of a sparse matrix."""
    coo = sp.coo_matrix(matrix)
    return {(int(i), int(j)): float(x) for i, j, x in zip(coo.row, coo.col, coo.data, strict=True) if x != 0}


def training_edges(train: VloggerDataset) -> Edges:
    """R, read off the interactions themselves."""
    users, items = train.inter_feat[train.uid_field].tolist(), train.inter_feat[train.iid_field].tolist()
    return dict.fromkeys(zip(users, items, strict=True), 1.0)


def heads_of(model: VAGNN) -> Heads | None:
    """The projection heads as the reference wants them."""
    if not len(model.heads):
        return None
    found: dict[str, Head] = {}
    for name, head in model.heads.items():
        found[name] = {
            "w1": head.inner.weight.tolist(),
            "b1": head.inner.bias.tolist(),
            "w2": head.outer.weight.tolist(),
            "b2": head.outer.bias.tolist(),
            "gamma": head.norm.weight.tolist(),
            "beta": head.norm.bias.tolist(),
            "eps": head.norm.eps,
        }
    return {"user": found["user"], "video": found["video"], "vlogger": found["vlogger"]}


def bundle_of(model: VAGNN, train: VloggerDataset) -> Bundle:
    """Everything a model is computed from, as plain lists; tables that a variant lacks become zeros."""
    d, options = model.options.embedding_size, model.options
    augmented = model.augmented_graphs()

    def table(embedding: torch.nn.Embedding | None, n: int) -> list[list[float]]:
        return [[0.0] * d for _ in range(n)] if embedding is None else embedding.weight.tolist()

    return Bundle(
        user_emb=table(model.user_embedding, train.user_num),
        video_emb=table(model.item_embedding, train.item_num),
        vlogger_emb=table(model.vlogger_embedding, train.vlogger_num),
        r_edges=training_edges(train),
        r_walk=edges_of(augmented[0]),
        s_walk=edges_of(augmented[1]),
        vlogger_of=train.vlogger_of_item.tolist(),
        q=[[0.0] * d] * d if model.mix_matrix is None else model.mix_matrix.tolist(),
        n_layers=options.n_layers,
        heads=heads_of(model),
        mix=options.mix,
        views=options.views,
        tau=options.ssl_tau,
        repeats=options.contrast_nodes == "batch",
    )


def random_batch(train: VloggerDataset, seed: int, size: int = 12) -> Batch:
    """Triples with repeated users, videos and vloggers, and videos of unknown vlogger on both sides."""
    rng = random.Random(seed)
    edges = training_edges(train)
    owner = train.vlogger_of_item.tolist()
    unknown = [pair for pair in edges if owner[pair[1]] == 0]
    pairs = [*rng.choices(sorted(edges), k=size - 3), unknown[0], unknown[0], min(edges)]
    negatives = [rng.choice([v for v in range(1, train.item_num) if (u, v) not in edges]) for u, _ in pairs]
    vloggers = range(1, train.vlogger_num)
    return Batch(
        users=[u for u, _ in pairs],
        pos=[v for _, v in pairs],
        neg=negatives,
        aux_users=rng.choices(range(1, train.user_num), k=size - 2),
        aux_pos=rng.choices(vloggers, k=size - 2),
        aux_neg=rng.choices(vloggers, k=size - 2),
    )


def tensors(batch: Batch) -> tuple[Any, ...]:
    """The arguments of ``VAGNN.loss_terms``."""
    auxiliary = tuple(map(torch.tensor, (batch.aux_users, batch.aux_pos, batch.aux_neg)))
    return (*map(torch.tensor, (batch.users, batch.pos, batch.neg)), auxiliary if batch.aux_users else None)
