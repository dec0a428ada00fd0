"""Does the timed code compute the right thing? Its loss against the float64 reference, or against RecBole's class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from .contestants import FAST, OURS, Competitor
from .reference import LOSSES, Step

TOLERANCE = 1e-5
_SEED = 7


@dataclass(frozen=True)
class Agreement:
    """Loss of one step of the timed code, and what it ought to be.

    Attributes:
        loss: of the step.
        expected: the other computation's.
        by: which one that is.
        error: relative.
    """

    loss: float
    expected: float
    by: str
    error: float

    def to_json(self) -> dict[str, Any]:
        """The attributes and the verdict."""
        return {**asdict(self), "agrees": self.error <= TOLERANCE}


def agreement(loss: float, expected: float, by: str) -> Agreement:
    """Compare two losses."""
    return Agreement(loss, expected, by, abs(loss - expected) / max(abs(expected), 1e-30))


def check(competitor: Competitor, stock: Competitor | None = None) -> Agreement | None:
    """Take a step on a competitor's first batch and compare its loss.

    Args:
        competitor: in training mode.
        stock: RecBole's class of the same model with the same batches, for a fast subclass; it takes a step too.

    Returns:
        None for a class of RecBole without a reference here: it is one.
    """
    contestant = competitor.contestant
    if contestant.kind == FAST and stock is not None:
        return _against_stock(competitor, stock)
    if contestant.model not in LOSSES:
        return None
    return _against_reference(competitor)


def _against_stock(competitor: Competitor, stock: Competitor) -> Agreement:
    """Both from the same parameters and the same global generators, which RecBole draws from."""
    competitor.model.load_state_dict(stock.model.state_dict())
    losses = []
    for one in (competitor, stock):
        seed_everything(_SEED)
        one.model.train()  # SGL draws its graphs here
        one.rewind()
        one.step()
        losses.append(one.loss)
    return agreement(losses[0], losses[1], f"RecBole's {stock.contestant.model}")


def seed_everything(seed: int) -> None:
    """Seed the generators that RecBole uses: Python's, numpy's and torch's global ones."""
    from recbole.utils import init_seed

    init_seed(seed, True)


def _against_reference(competitor: Competitor) -> Agreement:
    model, batch, ours = competitor.model, competitor.batches[0], competitor.contestant.kind == OURS
    parameters = {name: table.detach().double().cpu().numpy().copy() for name, table in model.named_parameters()}
    fields = (model.USER_ID, model.ITEM_ID, model.NEG_ITEM_ID)
    users, positives, negatives = (batch[name].cpu().numpy() for name in fields)
    split = competitor.loaded.split
    interactions = split.interactions() if ours else split.inter_matrix(form="csr").astype(np.float64)
    owner = split.vlogger_of_item if ours else np.zeros(split.item_num, dtype=np.int64)
    options = model.options if ours else competitor.config
    competitor.rewind()
    with recorded(model) as drawn:
        competitor.step()
    step = Step(users, positives, negatives, interactions, owner, options, drawn())
    expected = LOSSES[competitor.contestant.model](step, parameters)
    return agreement(competitor.loss, expected, "float64 reference")


# --- what a step draws ------------------------------------------------------------------------------------------


@contextmanager
def recorded(model: Any) -> Iterator[Callable[[], dict[str, Any]]]:
    """Record what a step of ``model`` draws at random.

    Yields:
        a function that, after the step, gives the draws as ``reference.Step`` wants them.
    """
    name = type(model).__name__
    recorder = {"SimGCL": _noise, "XSimGCL": _noise, "GTN": _dropout, "VAGNN": _vagnn}.get(name)
    if recorder is None:
        yield dict
    else:
        with recorder(model) as drawn:
            yield drawn


@contextmanager
def _noise(model: Any) -> Iterator[Callable[[], dict[str, Any]]]:
    """Uniform draws of the noise, layer by layer and pass by pass."""
    draws: list[Any] = []
    original = model._noise.draw

    def draw(like: Any) -> Any:
        drawn = original(like)
        draws.append(drawn.double().cpu().numpy().copy())
        return drawn

    model._noise.draw = draw
    try:
        yield lambda: {"noise": draws}
    finally:
        del model._noise.draw


@contextmanager
def _dropout(model: Any) -> Iterator[Callable[[], dict[str, Any]]]:
    """The factors of the dropout on users, then items: drawn again from the same state of torch's generator."""
    tables = (model.user_embedding.weight, model.item_embedding.weight)
    device = tables[0].device
    generators = torch.cuda if device.type == "cuda" else torch
    state = generators.get_rng_state()

    def drawn() -> dict[str, Any]:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            generators.set_rng_state(state)
            factors = [functional.dropout(torch.ones_like(table), model.options.dropout) for table in tables]
        return {"dropout": torch.cat(factors).double().cpu().numpy()}

    yield drawn


@contextmanager
def _vagnn(model: Any) -> Iterator[Callable[[], dict[str, Any]]]:
    """The graphs with their meta-paths, the auxiliary triples and the dropout of the heads."""
    triples: list[Any] = []
    factors: dict[str, list[Any]] = {name: [] for name in model.heads}
    original = model.loss_terms

    def loss_terms(*batch: Any) -> Any:
        triples.extend(part.cpu().numpy() for part in batch[3])
        return original(*batch)

    def keep(of: list[Any], kept: float) -> Callable[..., None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            of.append(output.detach().ne(0).double().cpu().numpy() / kept)

        return hook

    hooks = [
        head.dropout.register_forward_hook(keep(factors[name], 1 - head.dropout.p))
        for name, head in model.heads.items()
    ]
    model.loss_terms = loss_terms
    try:
        yield lambda: {"graphs": model.augmented_graphs(), "auxiliary": triples, "heads": factors}
    finally:
        del model.loss_terms
        for hook in hooks:
            hook.remove()
