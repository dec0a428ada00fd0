"""Evaluation by several processes: each scores its batches of users, the first one judges all users together."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import torch
from recbole.data.dataloader import FullSortEvalDataLoader

from recbole_vagnn.distributed.ranks import Ranks
from recbole_vagnn.evaluation import RecordingEvaluator

# What RecBole's collector keeps of each user or row, in the order of the batches.
_COLLECTED = ("rec.items", "rec.topk", "rec.meanrank", "rec.score", "data.label")


def own_batches(loader: Any, ranks: Ranks) -> Any:
    """A loader of this process's batches: those of one process, divided in order, so that no user comes twice.

    Full ranking is divided. A loader that draws candidates is the first process's alone, as one process draws them.

    Args:
        loader: RecBole's evaluation loader.
        ranks: the processes.

    Returns:
        a loader of the same class; it may have no batch.
    """
    batches = list(loader.batch_sampler)
    if isinstance(loader, FullSortEvalDataLoader):
        own = batches[ranks.share.rows(len(batches))]
    else:
        own = batches if ranks.first else []
    part = copy.copy(loader)
    part.__dict__["batch_sampler"] = own  # a DataLoader refuses the assignment after its construction
    return part


class JoiningEvaluator(RecordingEvaluator):
    """Judges what all processes have collected, once, in the first one; all get the result.

    The attributes of :class:`RecordingEvaluator` are filled in the first process alone.

    Args:
        config: of the run.
        ranks: the processes.
    """

    def __init__(self, config: Any, ranks: Ranks) -> None:
        super().__init__(config)
        self._ranks = ranks

    def evaluate(self, dataobject: Any) -> OrderedDict[str, float]:
        """The metrics over the users of all processes, as one process computes them."""
        parts = self._ranks.gather({key: dataobject.get(key) for key in _COLLECTED if key in dataobject})
        result = None
        if parts is not None:
            for key in parts[0]:
                dataobject.set(key, torch.cat([part[key] for part in parts if key in part]))
            result = super().evaluate(dataobject)
        return self._ranks.from_first(result)  # type: ignore[no-any-return]
