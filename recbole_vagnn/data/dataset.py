"""RecBole data set with a vlogger (creator) field."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from recbole.data.interaction import Interaction
from recbole.utils import FeatureType

from recbole_vagnn.data.degradation import degrade
from recbole_vagnn.data.follow import FollowPairs, read_follow
from recbole_vagnn.data.new_videos import draw_new_videos, first_times
from recbole_vagnn.data.options import Degradation
from recbole_vagnn.data.order import TieReport, first_time_per_user, held_out_ties, repeated_pairs, stable_argsort
from recbole_vagnn.data.reading import AtomicDataset, is_among, token_codes
from recbole_vagnn.data.splitting import leave_one_out_rows, ratio_rows
from recbole_vagnn.errors import InputError

if TYPE_CHECKING:
    from recbole.config import Config

IntArray = NDArray[np.int64]

_NEW_VIDEO_STREAM = 4  # beside the streams of data/sampler.py
_ROW = "__row__"  # original row of an interaction, carried through RecBole's split and removed afterwards
_HELD_OUT_BY_LEAVE_ONE_OUT = {"valid_and_test": 2, "valid_only": 1, "test_only": 1}
_FILTERS = ("val_interval", "user_inter_num_interval", "item_inter_num_interval", "items_without_row")


class VloggerDataset(AtomicDataset):
    """A RecBole data set whose items have a creator, for every general recommender.

    Beyond RecBole's own: the vlogger of each item (``VLOGGER_ID_FIELD``, any column of the ``.item`` file, empty
    = unknown), an optional ``.follow`` file, order by exact 64-bit time with ties in file order, a split seeded
    apart from the model, and errors that name file, line and field. ``build()`` returns the splits; everything
    a split offers is computed from its own interactions, so the training split holds nothing of the others.

    Attributes:
        follow: pairs of the ``.follow`` file; those of a split are older than its held-out interactions.
        tie_report: how many leave-one-out items a tie in time decided; None for other splits.
        withheld: (2, n) int64 users and items that ``degradation`` took from this training split; None without it.
        new_videos: (n_items,) bool, the videos that ``new_video_share`` holds out; None before ``build``, without it.

    Args:
        config: RecBole's Config; the options read are those of
            :class:`~recbole_vagnn.data.options.DataOptions` and RecBole's own.

    Raises:
        InputError: a file, column or value is missing or wrong.
    """

    def __init__(self, config: Config) -> None:
        self.follow: FollowPairs | None = None
        self._exact_times: NDArray[Any] | None = None
        self.tie_report: TieReport | None = None
        self.withheld: IntArray | None = None
        self.new_videos: NDArray[np.bool_] | None = None
        super().__init__(config)

    # --- processing -------------------------------------------------------------------------------------------

    def _data_processing(self) -> None:
        super()._data_processing()
        path = Path(self.dataset_path, f"{self.dataset_name}.follow")
        if self.vlogger_field is not None and path.is_file():
            self.follow = read_follow(
                path,
                self.options,
                self.config["field_separator"],
                self.config["encoding"] or "utf-8",
                self.field2token_id[self.uid_field],
                self.field2token_id[self.vlogger_field],
                self.logger,
            )

    def _remove_duplication(self) -> None:
        """RecBole's, with a stable sort: of two rows of equal time, file order says which is older."""
        keep = self.config["rm_dup_inter"]
        if keep is None:
            return
        if keep not in ("first", "last"):
            raise InputError(f"`rm_dup_inter` is {keep!r}; it must be one of first, last, or empty to keep all.")
        if self.time_field in self.inter_feat:
            self.inter_feat = self.inter_feat.take(stable_argsort(self.inter_feat[self.time_field].to_numpy()))
        users, items = (token_codes([self.inter_feat[field]])[0][0] for field in (self.uid_field, self.iid_field))
        repeated = repeated_pairs(users, items, keep)
        if dropped := int(repeated.sum()):
            self.inter_feat = self.inter_feat[~repeated]
            self.logger.info(f"{dropped} repeated user-item pairs left out (`rm_dup_inter: {keep}`).")

    def _filter_inter_by_user_or_item(self) -> None:
        """RecBole's, by codes."""
        if self.options.items_without_row == "unknown" or self.config["filter_inter_by_user_or_item"] is not True:
            return
        for field, feat in ((self.uid_field, self.user_feat), (self.iid_field, self.item_feat)):
            if feat is not None:
                remains = is_among(self.inter_feat[field], feat[field])
                self.inter_feat = self.inter_feat if remains.all() else self.inter_feat[remains]

    def _filter_by_inter_num(self) -> None:
        """RecBole's k-core, counting in arrays in place of Python's counters of strings."""
        sides = [
            _InterNum.of(self, self.uid_field, self.user_feat, "user_inter_num_interval"),
            _InterNum.of(self, self.iid_field, self.item_feat, "item_inter_num_interval"),
        ]
        remains = np.ones(len(self.inter_feat), dtype=bool)
        while sum(side.drop(remains) for side in sides):  # both are judged before either's interactions are gone
            for side in sides:
                remains &= ~side.dropped[side.codes]
        users, items = sides
        self.inter_feat = self.inter_feat if remains.all() else self.inter_feat[remains]
        if users.rows is not None:
            self.user_feat = self.user_feat[~users.dropped[users.rows]]
        if items.rows is not None:
            self.item_feat = self.item_feat[~items.dropped[items.rows]]

    def _reset_index(self) -> None:
        if self.inter_feat.empty:
            active = [f"{key}={self.config[key]!r}" for key in _FILTERS if self.config[key] is not None]
            raise InputError(
                f"No interaction of {self.dataset_name} is left after filtering by {', '.join(active)}. Relax them."
            )
        super()._reset_index()

    def _fill_nan(self) -> None:
        with warnings.catch_warnings():  # RecBole fills in place; correct with pandas < 3, which we require
            warnings.simplefilter("ignore", FutureWarning)
            super()._fill_nan()

    def _normalize(self) -> None:
        """RecBole's, after keeping the exact times: scaled to [0, 1] they are no longer the follow pairs' unit."""
        if self.time_field in self.inter_feat:
            self._exact_times = self.inter_feat[self.time_field].to_numpy().copy()
        super()._normalize()

    # --- splitting --------------------------------------------------------------------------------------------

    def build(self) -> list[VloggerDataset]:
        """Split into training, validation and test data.

        Order and ties are decided at 64 bits before RecBole converts time to float32; a random order draws from
        ``split_seed`` alone. Follow pairs not older than their user's first held-out interaction are dropped. With
        ``new_video_share``, whole videos are held out, and the test data are all interactions with them. With
        ``degradation``, the training split is made poorer.

        Returns:
            [training, validation, test].

        Raises:
            InputError: the split needs a time column that the data lack, or is contradictory.
        """
        self._check_split()
        times = self._exact_times
        if times is not None and self.config["eval_args"]["order"] == "TO" and self.benchmark_filename_list is None:
            order = stable_argsort(times)
            self.inter_feat, times = self.inter_feat.iloc[order].reset_index(drop=True), times[order]
            self._report_ties(times)
        users = self.inter_feat[self.uid_field].to_numpy()
        self.inter_feat = self.inter_feat.assign(**{_ROW: np.arange(len(users))})
        self.field2type[_ROW] = FeatureType.TOKEN
        with _own_torch_seed(self.options.split_seed):
            splits = super().build()
        held_out = np.concatenate([split.inter_feat[_ROW].numpy() for split in splits[1:]])
        if self.options.new_video_share > 0:
            self._hold_out_videos(splits)
        of_new = splits[2].inter_feat[_ROW].numpy()
        for part in [self, *splits]:
            part.inter_feat.interaction.pop(_ROW, None)
        del self.field2type[_ROW]
        self._drop_late_follows(splits, users, times, held_out)
        self._drop_follows_of_new_videos(splits, None if times is None else times[of_new])
        self._check_splits(splits)
        if (change := Degradation.read(self.options.degradation)) is not None:
            degrade(splits[0], change)
        self._set_eval_batch_size()
        return splits  # type: ignore[no-any-return]

    def leave_one_out(self, group_by: str, leave_one_mode: str) -> list[VloggerDataset]:
        """RecBole's, by arrays.

        Args:
            group_by: field of the groups; leave_one_mode: ``valid_and_test``, ``valid_only`` or ``test_only``.

        Raises:
            InputError: there is no such mode.
        """
        if leave_one_mode not in _HELD_OUT_BY_LEAVE_ONE_OUT:
            raise InputError(
                f"`LS` of `eval_args` is {leave_one_mode!r}; it must be one of {', '.join(_HELD_OUT_BY_LEAVE_ONE_OUT)}."
            )
        parts = leave_one_out_rows(np.asarray(self.inter_feat[group_by]), _HELD_OUT_BY_LEAVE_ONE_OUT[leave_one_mode])
        if len(parts) == 2:
            parts.insert(2 if leave_one_mode == "valid_only" else 1, parts[0][:0])
        return self._parts(parts)

    def split_by_ratio(self, ratios: Sequence[float], group_by: str | None = None) -> list[VloggerDataset]:
        """RecBole's; the rows of each group by arrays."""
        if group_by is None:
            return super().split_by_ratio(ratios)  # type: ignore[no-any-return]
        shares = [ratio / sum(ratios) for ratio in ratios]
        return self._parts(ratio_rows(np.asarray(self.inter_feat[group_by]), shares, self._calcu_split_ids))

    def _parts(self, rows: Sequence[IntArray]) -> list[VloggerDataset]:
        self._drop_unused_col()
        return [self.copy(_take(self.inter_feat, part)) for part in rows]

    def _hold_out_videos(self, splits: list[VloggerDataset]) -> None:
        """Draw new videos; their interactions leave training and validation, and all of them become the test data."""
        train, valid, test = splits
        counts = np.bincount(np.asarray(train.inter_feat[self.iid_field]), minlength=self.item_num)
        rng = np.random.default_rng([self.options.new_video_seed, _NEW_VIDEO_STREAM])
        new = draw_new_videos(counts, self.vlogger_of_item, self.options.new_video_share, rng)
        for source, target, kept in ((train, train, ~new), (valid, valid, ~new), (self, test, new)):
            rows = kept[np.asarray(source.inter_feat[self.iid_field])]
            target.inter_feat = _take(source.inter_feat, rows)
        for split in splits:
            split.new_videos = new
        self.logger.info(f"{int(new.sum())} videos with {len(test)} interactions are held out of training.")

    def _check_split(self) -> None:
        arguments = self.config["eval_args"]
        kind = next(iter(arguments["split"] or {"": None}))
        if self.benchmark_filename_list is not None:
            if len(self.benchmark_filename_list) != 3:
                raise InputError(
                    f"`benchmark_filename` is {self.benchmark_filename_list}; it must name three files: training, "
                    f"validation and test."
                )
            return
        by_time = arguments["order"] == "TO"
        if kind == "TS" and not by_time:
            raise InputError("A time split (`split: {TS: …}`) needs `order: TO` in `eval_args`.")
        if by_time and self.time_field not in self.inter_feat:
            path = Path(self.dataset_path, f"{self.dataset_name}.inter")
            raise InputError(
                f"{path} has no column {self.time_field!r} (`TIME_FIELD`) or it is not loaded (`load_col`), but "
                f"`order: TO` needs it. Add it, or split at random: "
                f"`--eval_args=\"{{'split': {{'RS': [0.8, 0.1, 0.1]}}, 'order': 'RO'}}\"`."
            )

    def _report_ties(self, times: NDArray[Any]) -> None:
        mode = self.config["eval_args"]["split"].get("LS")
        if mode in _HELD_OUT_BY_LEAVE_ONE_OUT:
            users = self.inter_feat[self.uid_field].to_numpy()
            self.tie_report = held_out_ties(users, times, _HELD_OUT_BY_LEAVE_ONE_OUT[mode])
            self.logger.info(str(self.tie_report))

    def _drop_late_follows(
        self,
        splits: list[VloggerDataset],
        users: IntArray,
        times: NDArray[Any] | None,
        held_out: IntArray,
    ) -> None:
        if self.follow is None:
            return
        if times is None:
            if self.follow.times is not None:
                self.logger.warning(
                    "Follow pairs have a time but interactions have none: pairs younger than the held-out "
                    "interactions cannot be told and are kept."
                )
            return
        first = first_time_per_user(users[held_out], times[held_out], self.user_num)
        follow, dropped = self.follow.before(first)
        if dropped:
            self.logger.info(
                f"{dropped} follow pairs are not older than their user's first held-out interaction; left out."
            )
        for split in splits:
            split.follow = follow

    def _drop_follows_of_new_videos(self, splits: list[VloggerDataset], times: NDArray[Any] | None) -> None:
        """Leave out the follow pairs that interactions with new videos, at ``times``, may have led to."""
        test = splits[2]
        if test.new_videos is None or test.follow is None or times is None:
            return
        users, items = (np.asarray(test.inter_feat[field]) for field in (self.uid_field, self.iid_field))
        limits = first_times(test.follow, users, self.vlogger_of_item[items], times)
        follow, dropped = test.follow.older_than(limits)
        self.logger.info(f"{dropped} follow pairs are not older than their user's first new video of the vlogger.")
        for split in splits:
            split.follow = follow

    def _check_splits(self, splits: list[VloggerDataset]) -> None:
        sizes = [len(split) for split in splits]
        if sizes[0] == 0 or sizes[2] == 0:
            raise InputError(
                f"The split leaves {sizes[0]} training, {sizes[1]} validation and {sizes[2]} test interactions of "
                f"{self.dataset_name}; users need more interactions, or `eval_args` another split."
            )

    def _set_eval_batch_size(self) -> None:
        """Resolve ``eval_batch_size: auto``: as many users at once as ``eval_memory_mb`` holds.

        RecBole keeps about four (users × items) matrices of 4 bytes at a time. With sampled candidates it also
        gathers one row of vectors per candidate.
        """
        if self.config["eval_batch_size"] != "auto":
            return
        budget = min(self.options.eval_memory_mb * 2**20, psutil.virtual_memory().available // 4)
        users = int(min(max(1, budget // (16 * self.item_num)), self.user_num))
        full = set(self.config["eval_args"]["mode"].values()) == {"full"}
        vectors = 4 * 4 * (self.config["embedding_size"] or 64)
        rows = users * self.item_num if full else min(users * 101, max(1024, budget // vectors))
        self.config["eval_batch_size"] = int(rows)

    # --- rows of a batch ---------------------------------------------------------------------------------------

    def __getitem__(self, index: Any, join: bool = True) -> Interaction:
        """RecBole's rows; an array of positions is not turned into a Python list on the way."""
        rows = _take(self.inter_feat, index)
        return self.join(rows) if join else rows

    def join(self, df: Interaction) -> Interaction:
        """RecBole's: add the columns of the users and items that ``df`` names."""
        for feat, field in ((self.user_feat, self.uid_field), (self.item_feat, self.iid_field)):
            if feat is not None and field in df:
                df.update(_take(feat, df[field]))
        return df

    # --- what models ask for ----------------------------------------------------------------------------------

    @property
    def vlogger_num(self) -> int:
        """Number of vloggers, the unknown vlogger 0 included; 1 without a vlogger field."""
        return int(self.num(self.vlogger_field)) if self.vlogger_field else 1

    @property
    def vlogger_of_item(self) -> IntArray:
        """(n_items,) int64 vlogger of each item; 0 = unknown, also for the padding item."""
        if self.vlogger_field is None:
            return np.zeros(self.item_num, dtype=np.int64)
        return np.asarray(self.item_feat[self.vlogger_field]).astype(np.int64)

    def interactions(self) -> sp.csr_matrix:
        """R of this split: (n_users, n_items) float64, 1 for each user–item pair, repeats counted once."""
        users, items = np.asarray(self.inter_feat[self.uid_field]), np.asarray(self.inter_feat[self.iid_field])
        ones = np.ones(len(users), dtype=np.float64)
        matrix = sp.csr_matrix((ones, (users, items)), shape=(self.user_num, self.item_num))
        matrix.data[:] = 1.0
        matrix.sort_indices()
        return matrix

    def creators(self) -> sp.csr_matrix:
        """C: (n_items, n_vloggers) float64, one 1 in the row of an item with a known vlogger."""
        vloggers = self.vlogger_of_item
        items = np.flatnonzero(vloggers)
        ones = np.ones(len(items), dtype=np.float64)
        shape = (self.item_num, self.vlogger_num)
        return sp.csr_matrix((ones, (items, vloggers[items])), shape=shape)

    def follow_matrix(self) -> sp.csr_matrix | None:
        """(n_users, n_vloggers) float64 binary follow pairs, or None without a ``.follow`` file."""
        if self.follow is None:
            return None
        return self.follow.matrix(self.user_num, self.vlogger_num)


@dataclass
class _InterNum:
    """Number of interactions of each user, or of each item, while those outside of intervals are dropped.

    Attributes:
        codes: (n,) user of each interaction; one code a user.
        rows: user of each row of the ``.user`` file, or None without it.
        intervals: RecBole's parsed intervals; an empty list drops nobody.
        within: RecBole's test of numbers against intervals.
        dropped: by code, who is dropped.
    """

    codes: IntArray
    rows: IntArray | None
    intervals: list[tuple[str, float, float, str]]
    within: Callable[..., NDArray[np.bool_]]
    dropped: NDArray[np.bool_]

    @classmethod
    def of(cls, dataset: VloggerDataset, field: str, feat: Any, option: str) -> _InterNum:
        """The state before anyone is dropped."""
        columns = [dataset.inter_feat[field], *([] if feat is None else [feat[field]])]
        codes, tokens = token_codes(columns)
        intervals = dataset._parse_intervals_str(dataset.config[option]) or []
        rows = None if feat is None else codes[1]
        return cls(codes[0], rows, intervals, dataset._within_intervals, np.zeros(len(tokens), dtype=bool))

    def drop(self, remains: NDArray[np.bool_]) -> bool:
        """Drop whoever has a wrong number of the remaining interactions, (n,) bool; whether there was one."""
        if not self.intervals:
            return False
        counts = np.bincount(self.codes[remains], minlength=len(self.dropped))
        wrong = (counts > 0) & ~self.within(counts, self.intervals)
        if self.rows is not None:  # RecBole drops rows without interactions by the first interval's lower end alone
            wrong[self.rows] |= counts[self.rows] < self.intervals[0][1]
        wrong &= ~self.dropped
        self.dropped |= wrong
        return bool(wrong.any())


def _take(rows: Interaction, index: Any) -> Interaction:
    """``rows[index]``; arrays index the tensors directly, several times faster than RecBole's way by lists."""
    if not isinstance(index, (np.ndarray, torch.Tensor)) or index.ndim == 0:
        return rows[index]
    positions = torch.as_tensor(index)
    return Interaction({name: column[positions] for name, column in rows.interaction.items()})


@contextmanager
def _own_torch_seed(seed: int) -> Iterator[None]:
    """Run with torch's CPU generator seeded, and give its state back afterwards; a GPU's is not touched."""
    state = torch.random.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.random.set_rng_state(state)
