"""The options that every source shares: which rows of the input become interactions."""

from __future__ import annotations

from dataclasses import dataclass

from recbole_vagnn.errors import InputError
from recbole_vagnn.options import Options
from recbole_vagnn.prepare.pipeline.rules import parse_rule
from recbole_vagnn.prepare.pipeline.source import option


@dataclass(frozen=True)
class Filters(Options):
    """Applied in the order of the fields; a count of 0 switches a filter off.

    Raises:
        InputError: a value is out of its range, or two contradict each other.
    """

    positive: tuple[str, ...] = option(
        ("all",), "What makes a row an interaction, e.g. 'watch_ratio>=1'; repeated = or."
    )
    follow_from: tuple[str, ...] = option((), "What makes a row a follow pair, e.g. is_follow; 'none' for none.")
    start: str | None = option(None, "Leave rows older than this out: a number in the data's unit, or a date (UTC).")
    until: str | None = option(None, "Leave rows of this time or younger out.")
    unknown_vlogger: str = option("keep", "Interactions with items of unknown vlogger.", choices=("keep", "drop"))
    duplicates: str = option("first", "Which of repeated user-item pairs stays.", choices=("first", "last"))
    sample_users: float = option(0.0, "Keep so many users at random (below 1: that share).")
    sample_seed: int = option(2020, "Seed of --sample-users.")
    max_history: int = option(0, "Leave users with more interactions out (0: none).")
    newest: int = option(0, "Keep only each user's newest interactions, so many (0: all).")
    min_history: int = option(3, "Leave users with fewer interactions out.")
    user_core: int = option(0, "k-core: users keep at least so many interactions.")
    item_core: int = option(0, "k-core: items keep at least so many interactions.")
    vlogger_core: int = option(0, "k-core: vloggers keep at least so many interactions.")
    cold_items: bool = option(False, "Keep items without an interaction in the .item file.")

    def __post_init__(self) -> None:
        self.require_choice("unknown_vlogger", ("keep", "drop"))
        self.require_choice("duplicates", ("first", "last"))
        self.require_number("sample_users", 0)
        for name in ("sample_seed", "max_history", "newest", "min_history", "user_core", "item_core", "vlogger_core"):
            self.require_number(name, 0, whole=True)
        self.require_flag("cold_items")
        if self.sample_users >= 1 and self.sample_users != int(self.sample_users):
            raise InputError(f"`sample_users` is {self.sample_users}; give a whole number of users or a share below 1.")
        for name in ("max_history", "newest"):
            limit = getattr(self, name)
            if limit and limit < self.least_history:
                raise InputError(
                    f"`{name}` is {limit} but users need {self.least_history} interactions (`min_history`, "
                    f"`user_core`): nothing would be left."
                )
        parse_rule(self.positive, "--positive")
        parse_rule(self.follow_from, "--follow-from")

    @property
    def least_history(self) -> int:
        """Fewest interactions of a user that stays."""
        return max(self.min_history, self.user_core)
