"""RecBole's evaluator, keeping each user's metrics at full precision."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recbole.evaluator import Evaluator
from recbole.evaluator.base_metric import TopkMetric


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
