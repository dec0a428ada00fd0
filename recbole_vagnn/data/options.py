"""Options of the data side, read once from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.options import Options as Options


@dataclass(frozen=True)
class Degradation(Options):
    """Entries of the option ``degradation`` (see :mod:`~recbole_vagnn.data.degradation`); shares are in [0, 1].

    Attributes:
        links_removed: share of the videos of known vlogger that lose it.
        links_corrupted: share of them that get a wrong one, drawn in proportion to the vloggers' numbers of videos.
        follows_removed: share of the follow pairs that are left out.
        follows_corrupted: share of them whose vlogger is replaced by one that the user does not follow, drawn in
            proportion to the numbers of followers.
        order: who comes first: "random", "popular" (videos with most training interactions, vloggers with most
            followers) or "unpopular" (fewest); equal ones in random order.
        users_held_down: share of the users with at least ``held_down_from`` training interactions whose history is
            cut. Their follow pairs are left out: a new user has none.
        held_down_to: training interactions that those users keep, their latest.
        held_down_from: see above.
        seed: of all random choices.
    """

    links_removed: float = 0.0
    links_corrupted: float = 0.0
    follows_removed: float = 0.0
    follows_corrupted: float = 0.0
    order: str = "random"
    users_held_down: float = 0.0
    held_down_to: int = 1
    held_down_from: int = 10
    seed: int = 2020

    def __post_init__(self) -> None:
        for what in ("links", "follows"):
            names = [f"{what}_removed", f"{what}_corrupted"]
            for name in names:
                self.require_number(name, 0, 1)
            if sum(getattr(self, name) for name in names) > 1:
                raise InputError(f"`degradation`: {' and '.join(names)} are more than 1 together.")
        self.require_number("users_held_down", 0, 1)
        self.require_number("held_down_to", 1, whole=True)
        self.require_number("held_down_from", self.held_down_to + 1, whole=True)
        self.require_number("seed", 0, whole=True)
        self.require_choice("order", ("random", "popular", "unpopular"))

    @classmethod
    def read(cls, entries: Mapping[str, Any] | None) -> Degradation | None:
        """From the value of the option; None without it.

        Raises:
            InputError: an entry is unknown or out of range.
        """
        if entries is None:
            return None
        if not isinstance(entries, Mapping):
            raise InputError(f"`degradation` is {entries!r}; it must be a mapping such as {{links_removed: 0.5}}.")
        known = [field.name for field in fields(cls)]
        for key in entries:
            if key not in known:
                raise InputError(
                    f"`degradation` has no entry {key!r}.{did_you_mean(str(key), known)} Entries: {', '.join(known)}."
                )
        return cls.from_config(entries.get)


@dataclass(frozen=True)
class DataOptions(Options):
    """How a data set is read, split and sampled; documented in ``properties/overall.yaml``.

    Attributes:
        VLOGGER_ID_FIELD: creator column of the ``.item`` file; None for data without creators.
        FOLLOW_USER_ID_FIELD, FOLLOW_VLOGGER_ID_FIELD, FOLLOW_TIME_FIELD: columns of the ``.follow`` file.
        items_without_row: "error", "unknown" (vlogger unknown) or "drop" (the interactions).
        split_seed: seed of a random split.
        new_video_share: share of the videos held out of training, whose interactions are the test data; 0 = none.
        new_video_seed: seed that these videos are drawn by.
        degradation: entries of :class:`Degradation`; None = the data as they are.
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
    new_video_share: float = 0.0
    new_video_seed: int = 2020
    degradation: Mapping[str, Any] | None = None
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
        self.require_number("new_video_seed", 0, whole=True)
        self.require_number("new_video_share", 0, 0.5)
        self.require_number("eval_memory_mb", 1, whole=True)
        Degradation.read(self.degradation)
