"""The training objective of models that rank by an inner product: BPR, hard negatives or a sampled softmax.

One option for every model, so that what an objective gains is not credited to a model (docs/models.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recbole_vagnn.data.sampler import CANDIDATE_STREAM, NegativeSampler, own_sampler
from recbole_vagnn.models.new_videos import NewVideoOptions
from recbole_vagnn.nn.losses import bpr_loss
from recbole_vagnn.nn.objectives import hardest, sampled_softmax_loss
from recbole_vagnn.nn.share import WHOLE, Share

if TYPE_CHECKING:
    from recbole.config import Config

    from recbole_vagnn.data.dataset import VloggerDataset

OBJECTIVES = ("bpr", "hard", "softmax")


@dataclass(frozen=True)
class ObjectiveOptions(NewVideoOptions):
    """What a positive item is ranked against in training; ``properties/model/VAGNN.yaml`` explains each.

    Raises:
        InputError: a value is out of its range.
    """

    objective: str = "bpr"
    candidates: int = 16
    softmax_source: str = "sampled"
    softmax_tau: float = 1.0
    softmax_normalised: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_choice("objective", OBJECTIVES)
        self.require_number("candidates", 1, whole=True)
        self.require_choice("softmax_source", ("sampled", "batch"))
        self.require_number("softmax_tau", 0, above=True)
        self.require_flag("softmax_normalised")


class Objective:
    r"""Ranks the positive items of a batch of B (user, positive, negative) triples, vectors being at hand.

    * ``bpr``: softplus(s(u, v⁻) − s(u, v⁺)), averaged; the negative is the batch's.
    * ``hard``: the same against the highest scored of k candidates, the batch's negative and k − 1 more of its
      distribution (dynamic negative sampling, Zhang et al., SIGIR 2013). Scores are those of the pass that is trained.
    * ``softmax``: :func:`~recbole_vagnn.nn.objectives.sampled_softmax_loss` of scores divided by τ, cosines where
      ``softmax_normalised``. Negatives are the k candidates, q being their distribution; or, from the batch, its
      positive items but those that the user has in training, q being the shares of the training interactions.

    Args:
        options: what to do.
        config: RecBole's Config; the distribution of negatives and the seed are read.
        dataset: the training split.
    """

    def __init__(self, options: ObjectiveOptions, config: Config, dataset: VloggerDataset) -> None:
        self.options = options
        draws = options.objective == "hard" or (options.objective == "softmax" and options.softmax_source == "sampled")
        self._sampler: NegativeSampler | None = own_sampler(config, dataset, CANDIDATE_STREAM) if draws else None
        self._interactions = dataset.interactions() if options.objective == "softmax" and not draws else None

    @property
    def is_bpr(self) -> bool:
        """Whether the batch's negatives are all there is to rank against."""
        return self.options.objective == "bpr"

    @property
    def generators(self) -> dict[str, np.random.Generator]:
        """The generators of its own, by name."""
        return {"candidates": self._sampler.rng} if self._sampler is not None else {}

    def candidates(self, users: Tensor, negatives: Tensor) -> Tensor:
        """What the users' positives are ranked against.

        Args:
            users, negatives: (B,) int64 of a batch.

        Returns:
            (B, k) int64, the batch's negatives first; (B,), the negatives alone, where none are drawn.
        """
        if self._sampler is None:
            return negatives
        more = self.options.candidates - 1
        drawn = self._sampler.sample_by_user_ids(users.cpu(), None, more).view(more, len(users))
        return torch.cat([negatives.unsqueeze(1), drawn.t().to(negatives)], dim=1)

    def negatives(self, own: Tensor, item_table: Tensor, candidates: Tensor, share: Share = WHOLE) -> Tensor:
        """One negative for each triple: the hardest candidate, or the batch's where the objective is another.

        Args:
            own: (n, d) vectors of the users of the share's triples.
            item_table: (n_items, d) vectors.
            candidates: (B, k) or (B,), as :meth:`candidates` returns them.
            share: the triples for which the hardest is looked for; the others keep the batch's.

        Returns:
            (B,) int64.
        """
        if candidates.dim() == 1:
            return candidates
        chosen = candidates[:, 0]
        if self.options.objective == "hard":
            chosen = chosen.clone()
            (among,) = share.of(candidates)
            places = hardest(own.detach(), item_table.detach(), among)
            chosen[share.rows(len(candidates))] = among.gather(1, places.unsqueeze(1)).squeeze(1)
        return chosen

    def loss(
        self,
        own: Tensor,
        item_table: Tensor,
        users: Tensor,
        positives: Tensor,
        candidates: Tensor,
        share: Share = WHOLE,
    ) -> tuple[Tensor, Tensor]:
        """The share's part of the loss of a batch, and its negatives.

        Args:
            own: (n, d) vectors of the users of the share's triples.
            item_table: (n_items, d) vectors.
            users, positives: (B,) int64 ids.
            candidates: (B, k) or (B,), as :meth:`candidates` returns them.
            share: the triples whose loss is computed.

        Returns:
            scalar, and :meth:`negatives`, (B,) int64.
        """
        negatives = self.negatives(own, item_table, candidates, share)
        if self.options.objective == "softmax":
            return self.softmax(own, item_table, users, positives, candidates, share), negatives
        pairs = share.of(positives, negatives)
        good, bad = ((own * functional.embedding(ids, item_table)).sum(dim=1) for ids in pairs)
        return bpr_loss(good, bad, len(users)), negatives

    def softmax(
        self,
        own: Tensor,
        item_table: Tensor,
        users: Tensor,
        positives: Tensor,
        candidates: Tensor,
        share: Share = WHOLE,
    ) -> Tensor:
        """The softmax loss; arguments as :meth:`loss`."""
        if self.options.softmax_normalised:
            own, item_table = (functional.normalize(table, dim=1) for table in (own, item_table))
        ids, good = share.of(users, positives)
        scaled = own / self.options.softmax_tau
        positive = (scaled * functional.embedding(good, item_table)).sum(dim=1)
        if self._sampler is not None:
            (among,) = share.of(candidates)
            negative = torch.bmm(functional.embedding(among, item_table), scaled.unsqueeze(2)).squeeze(2)
            log_weights = self._of_sampled(ids, among)
        else:
            items, counts = torch.unique(positives, return_counts=True)
            negative = scaled @ functional.embedding(items, item_table).t()
            log_weights = self._of_batch(ids, items, counts)
        return sampled_softmax_loss(positive, negative, log_weights.to(negative.device), len(users))

    def _of_sampled(self, users: Tensor, candidates: Tensor) -> Tensor:
        """−log(k q) of each candidate, (n, k)."""
        assert self._sampler is not None
        n, k = candidates.shape
        flat = candidates.reshape(-1).cpu()
        log_q = self._sampler.log_probability(users.cpu().repeat_interleave(k), flat)
        return -log_q.view(n, k) - float(np.log(k))

    def _of_batch(self, users: Tensor, items: Tensor, counts: Tensor) -> Tensor:
        """log(c / (B q)) of the batch's items, c times in it, (n, m); −inf where the user has the item in training."""
        assert self._interactions is not None
        frequency = np.bincount(self._interactions.indices, minlength=self._interactions.shape[1])
        q = torch.from_numpy(frequency / frequency.sum())[items.cpu()]
        log_weights = (counts.cpu() / (counts.sum().cpu() * q)).log().repeat(len(users), 1)
        columns = np.full(self._interactions.shape[1], -1)
        columns[items.cpu().numpy()] = np.arange(len(items))
        known = self._interactions[users.cpu().numpy()].tocoo()
        among = columns[known.col]
        log_weights[known.row[among >= 0], among[among >= 0]] = float("-inf")
        return log_weights


def states_of(generators: dict[str, np.random.Generator]) -> dict[str, Any]:
    """States of generators by name, for an exact resume; plain values."""
    return {name: dict(rng.bit_generator.state) for name, rng in generators.items()}


def restore_states(generators: dict[str, np.random.Generator], states: dict[str, Any]) -> None:
    """Restore what :func:`states_of` returned."""
    for name, rng in generators.items():
        rng.bit_generator.state = states[name]
