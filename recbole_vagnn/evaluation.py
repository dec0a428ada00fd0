"""RecBole's evaluation, faster, and keeping each user's metrics at full precision."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.evaluator import Collector, Evaluator
from recbole.evaluator.base_metric import TopkMetric
from torch import Tensor


class RecordingEvaluator(Evaluator):
    """Evaluates as RecBole does and remembers the last evaluation's metrics per user.

    Attributes:
        per_user: ``"recall@10"`` → (n_users,) float64, in the order of the evaluation loader's users; top-k metrics
            only.
        top_items: (n_users, K) int64 recommended items, best first, where one of the metrics needs them; else None.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.per_user: dict[str, NDArray[np.float64]] = {}
        self.top_items: NDArray[np.int64] | None = None

    def evaluate(self, dataobject: Any) -> OrderedDict[str, float]:
        """RecBole's result; see the attribute for what is kept."""
        result = super().evaluate(dataobject)
        self.per_user = {}
        self.top_items = dataobject.get("rec.items").numpy() if "rec.items" in dataobject else None
        for name, metric in self.metric_class.items():
            if isinstance(metric, TopkMetric) and "rec.topk" in metric.metric_need:
                hits, n_positives = metric.used_info(dataobject)
                # RecBole's metrics take one or both of these.
                values = _call_metric(metric, hits, n_positives)
                for k in metric.topk:
                    self.per_user[f"{name}@{k}"] = values[:, k - 1].astype(np.float64)
        return OrderedDict((key, float(value)) for key, value in result.items())


def _call_metric(metric: Any, hits: NDArray[np.bool_], n_positives: NDArray[np.int64]) -> Any:
    n_arguments = metric.metric_info.__code__.co_argcount - 1
    return metric.metric_info(*(hits, n_positives)[:n_arguments])


class TopkCollector(Collector):
    """Collects what RecBole's collector does, without its table of users × items for the positives.

    RecBole sorts the scores once for each of "rec.items" and "rec.topk", and fills and sums a matrix of the size of the
    scores to see which of the K best are positive. Here the K best are compared with the positives.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        needed = {name for name in ("rec.meanrank", "rec.score", "data.label") if self.register.need(name)}
        self._topk_alone = not needed

    def eval_batch_collect(
        self, scores_tensor: Tensor, interaction: Any, positive_u: Tensor, positive_i: Tensor
    ) -> None:
        if not self._topk_alone:
            super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
            return
        top = torch.topk(scores_tensor, max(self.topk), dim=-1).indices
        if self.register.need("rec.items"):
            self.data_struct.update_tensor("rec.items", top)
        if self.register.need("rec.topk"):
            self.data_struct.update_tensor("rec.topk", hits_and_positives(top, positive_u, positive_i))


def hits_and_positives(top: Tensor, rows: Tensor, items: Tensor) -> Tensor:
    """Which of the recommended items are positive, and how many positives there are.

    Args:
        top: (n, K) int64 recommended items, best first, no item twice in a row.
        rows, items: (m,) int64, the positive items and the row of ``top`` that each belongs to; repeats count once.

    Returns:
        (n, K + 1) int64: 1 where the item is positive, else 0; in the last column the number of positives.
    """
    rows, items = torch.unique(torch.stack((rows, items)).to(top.device), dim=1)
    hits = torch.zeros_like(top).index_add_(0, rows, (top.index_select(0, rows) == items[:, None]).to(top.dtype))
    return torch.cat((hits, torch.bincount(rows, minlength=len(top))[:, None]), dim=1)
