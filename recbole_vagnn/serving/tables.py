"""Lists of recommendations as tables of original ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from recbole_vagnn.serving.checkpoint import Checkpoint
from recbole_vagnn.serving.explanation import Explainer, Explanation
from recbole_vagnn.serving.propagation import VIDEO
from recbole_vagnn.serving.recommending import BY_MODEL, Batch
from recbole_vagnn.serving.vocabulary import UNKNOWN

REASON = pa.struct([("kind", pa.string()), ("id", pa.string()), ("value", pa.float64())])
REASONS = 3  # reasons of each recommendation


def schema(what: str, explained: bool) -> pa.Schema:
    """Columns of a table of recommendations.

    ``user``, ``rank`` (from 1), ``video`` or ``vlogger`` and ``score``, ``source`` ("model", "popularity" or
    "fold-in"), for videos ``vlogger`` (null = unknown); explained, ``from_video``, ``from_vlogger`` and ``because`` as
    in :class:`~recbole_vagnn.serving.explanation.Explanation`.
    """
    fields = [("user", pa.string()), ("rank", pa.int32()), (what, pa.string()), ("score", pa.float32())]
    fields += [("source", pa.string())]
    if what == VIDEO:
        fields += [("vlogger", pa.string())]
    if explained:
        if what == VIDEO:
            fields += [("from_video", pa.float32()), ("from_vlogger", pa.float32())]
        fields += [("because", pa.list_(REASON))]
    return pa.schema(fields)


def to_table(checkpoint: Checkpoint, batch: Batch, what: str, explainer: Explainer | None = None) -> pa.Table:
    """One row for each recommendation, users in their order, best first.

    Args:
        checkpoint: names.
        batch: the lists.
        what: "video" or "vlogger".
        explainer: explains those that the model made; None = no explanations.
    """
    places, ranks = np.nonzero(np.isfinite(batch.ranked.scores))
    rows = batch.ranked.columns[places, ranks]
    names = checkpoint.videos if what == VIDEO else checkpoint.vloggers
    columns = {
        "user": pa.array(batch.users, pa.string()).take(pa.array(places)),
        "rank": pa.array(ranks + 1, pa.int32()),
        what: names.all_ids().take(pa.array(rows)).cast(pa.string()),
        "score": pa.array(batch.ranked.scores[places, ranks].astype(np.float32)),
        "source": pa.array(batch.sources, pa.string()).take(pa.array(places)),
    }
    if what == VIDEO:
        owners = checkpoint.history.vlogger_of[rows]
        columns["vlogger"] = checkpoint.vloggers.all_ids().take(pa.array(owners, mask=owners == UNKNOWN))
        columns["vlogger"] = columns["vlogger"].cast(pa.string())
    if explainer is not None:
        columns |= _explained(explainer, batch, what)
    return pa.table(columns, schema=schema(what, explainer is not None))


def _explained(explainer: Explainer, batch: Batch, what: str) -> dict[str, pa.Array]:
    found: list[Explanation | None] = []
    for place, source in enumerate(batch.sources):
        targets = batch.ranked.columns[place][np.isfinite(batch.ranked.scores[place])]
        if source == BY_MODEL:
            found += explainer.explain(int(batch.rows[place]), what, targets, REASONS)
        else:
            found += [None] * len(targets)
    return {
        "because": pa.array([None if e is None else _reasons(e) for e in found], pa.list_(REASON)),
        **{name: _column(found, name) for name in ("from_video", "from_vlogger") if what == VIDEO},
    }


def _reasons(explanation: Explanation) -> list[dict[str, object]]:
    """Values as short as float32 allows, like the other columns."""
    return [{**vars(reason), "value": float(str(np.float32(reason.value)))} for reason in explanation.reasons]


def _column(found: Sequence[Explanation | None], name: str) -> pa.Array:
    return pa.array([None if e is None else getattr(e, name) for e in found], pa.float32())
