"""Options of the data side, read once from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from recbole_vagnn.options import Options as Options


@dataclass(frozen=True)
class DataOptions(Options):
    """How a data set is read, split and sampled; documented in ``properties/overall.yaml``.

    Attributes:
        VLOGGER_ID_FIELD: creator column of the ``.item`` file; None for data without creators.
        FOLLOW_USER_ID_FIELD, FOLLOW_VLOGGER_ID_FIELD, FOLLOW_TIME_FIELD: columns of the ``.follow`` file.
        items_without_row: "error", "unknown" (vlogger unknown) or "drop" (the interactions).
        split_seed: seed of a random split.
        mask_valid_at_test: whether a user's validation items are left out of the test ranking.
        sampler: "vectorised" (ours) or "recbole".
        neg_scope: "any" or "unseen_vlogger".
        eval_memory_mb: memory one evaluation batch may take, in MiB, for ``eval_batch_size: auto``.
    """

    VLOGGER_ID_FIELD: str | None = None
    FOLLOW_USER_ID_FIELD: str = "follow_user_id"
    FOLLOW_VLOGGER_ID_FIELD: str = "follow_vlogger_id"
    FOLLOW_TIME_FIELD: str = "follow_time"
    items_without_row: str = "error"
    split_seed: int = 2020
    mask_valid_at_test: bool = True
    sampler: str = "vectorised"
    neg_scope: str = "any"
    eval_memory_mb: int = 512

    def __post_init__(self) -> None:
        self.require_choice("items_without_row", ("error", "unknown", "drop"))
        self.require_choice("sampler", ("vectorised", "recbole"))
        self.require_choice("neg_scope", ("any", "unseen_vlogger"))
        self.require_flag("mask_valid_at_test")
        self.require_number("split_seed", 0, whole=True)
        self.require_number("eval_memory_mb", 1, whole=True)
