"""From atomic files to internal ids: RecBole's Dataset with files read fast, checked and remapped as categories."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from recbole.data.dataset import Dataset
from recbole.utils import FeatureSource, FeatureType

from recbole_vagnn.data.atomic import (
    read_atomic,
    read_header,
    require_columns,
    require_type,
    require_unique,
    require_values,
    split_sequences,
)
from recbole_vagnn.data.options import DataOptions
from recbole_vagnn.errors import InputError

if TYPE_CHECKING:
    from recbole.config import Config

IntArray = NDArray[np.int64]


class AtomicDataset(Dataset):
    """RecBole's Dataset with checks of its files that name file, line and field.

    Ids come from the reader as categories where the file allows it (see :mod:`~recbole_vagnn.data.arrow_reader`)
    and stay categories until they are remapped; the internal ids are RecBole's.

    Args:
        config: RecBole's Config.

    Raises:
        InputError: a file, column or value is missing or wrong.
    """

    inter_feat: Any  # pandas DataFrame while reading, RecBole Interaction after build()
    user_feat: Any
    item_feat: Any
    file_size_list: list[int]  # of RecBole: interactions of each pre-split file
    field2seqlen: dict[str, int]

    def __init__(self, config: Config) -> None:
        self.options = DataOptions.from_config(config.__getitem__)
        self.vlogger_field = self.options.VLOGGER_ID_FIELD
        if self.vlogger_field in (config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]):
            raise InputError(
                f"`VLOGGER_ID_FIELD` is {self.vlogger_field!r}, which is the user's or the item's column; a creator "
                f"needs a column of its own in the .item file."
            )
        super().__init__(config)

    # --- files ------------------------------------------------------------------------------------------------

    def _load_data(self, token: str, dataset_path: str) -> None:
        folder = Path(dataset_path)
        if not folder.is_dir():
            raise InputError(
                f"Data set folder {folder} does not exist. Put {token}.inter and {token}.item there, or set "
                f"`data_path` to the folder that contains {token}/."
            )
        super()._load_data(token, dataset_path)
        self._share_id_categories()
        self._check_items()

    def _load_inter_feat(self, token: str, dataset_path: str) -> None:
        names = self.benchmark_filename_list
        paths = [Path(dataset_path, f"{token}.{name}.inter" if name else f"{token}.inter") for name in names or [""]]
        for path in paths:
            if not path.is_file():
                raise InputError(
                    f"File {path} does not exist. Put it there, or set `dataset` and `data_path` to "
                    f"<data_path>/<dataset>/<dataset>.inter."
                )
        if names is None:
            super()._load_inter_feat(token, dataset_path)
        else:
            self._load_presplit(paths)

    def _load_presplit(self, paths: Sequence[Path]) -> None:
        """RecBole's, after giving ids of all files the same categories: pandas would concatenate others as objects."""
        longest: defaultdict[str, int] = defaultdict(int)
        frames = []
        for path in paths:
            frames.append(self._load_feat(str(path), FeatureSource.INTERACTION))
            for field, length in self.field2seqlen.items():
                longest[field] = max(longest[field], length)
        self.file_size_list = [len(frame) for frame in frames]
        for field in set.intersection(*({*frame} for frame in frames)):
            for frame, column in zip(frames, share_categories([frame[field] for frame in frames]), strict=True):
                frame[field] = column
        self.inter_feat = pd.concat(frames, ignore_index=True)
        self.field2seqlen = longest

    def _get_load_and_unload_col(self, source: Any) -> tuple[set[str] | None, set[str] | None]:
        """``load_col: auto`` loads what a run needs; an explicit list gets the vlogger column added."""
        if self.config["load_col"] != "auto":
            load, unload = super()._get_load_and_unload_col(source)
            if load and source == FeatureSource.ITEM and self.vlogger_field:
                load.add(self.vlogger_field)
            return load, unload
        if source == FeatureSource.INTERACTION:
            extra = {self.time_field, self.label_field, self.config["RATING_FIELD"]}
            extra |= set(self.config["threshold"] or ()) | set(self.config["val_interval"] or ())
            return ({self.uid_field, self.iid_field} | extra) - {None}, None
        if source == FeatureSource.ITEM:
            # An item's own `rating` or `timestamp` is not the interaction's, which was read before.
            extra = set(self.config["val_interval"] or ()) - self.field2source.keys()
            return ({self.iid_field, self.vlogger_field} | extra) - {None}, None
        return set(), None

    def _load_feat(self, filepath: str, source: Any) -> Any:
        """RecBole's reader with checks (see data/atomic.py)."""
        load, unload = self._get_load_and_unload_col(source)
        if load == set():
            return None
        path, separator = Path(filepath), self.config["field_separator"]
        encoding = self.config["encoding"] or "utf-8"
        header = read_header(path, separator, encoding)
        require_columns(path, header, self._required_columns(source, load))
        if isinstance(source, FeatureSource):
            require_type(path, header, (self.uid_field, self.iid_field), "token")
        if source == FeatureSource.INTERACTION and self.time_field:
            require_type(path, header, (self.time_field,), "float")
        if source == FeatureSource.ITEM and self.vlogger_field:
            require_type(path, header, (self.vlogger_field,), "token")
        columns = {
            name: kind for name, kind in header.items() if (load is None or name in load) and name not in (unload or ())
        }
        frame = read_atomic(path, columns, separator, encoding, header)
        self._check_frame(path, frame, source)
        for name, kind in columns.items():
            if kind.endswith("seq"):
                limit = (self.config["seq_len"] or {}).get(name)
                frame[name] = split_sequences(path, frame[name], kind, self.config["seq_separator"], limit)
            self._describe_field(frame, name, FeatureType(kind), source)
        return frame

    def _required_columns(self, source: Any, load: set[str] | None) -> dict[str, str]:
        """Column → the option that asks for it."""
        required: dict[str, str] = {}
        if source in (FeatureSource.INTERACTION, FeatureSource.USER):
            required[self.uid_field] = "USER_ID_FIELD"
        if source in (FeatureSource.INTERACTION, FeatureSource.ITEM):
            required[self.iid_field] = "ITEM_ID_FIELD"
        if source == FeatureSource.ITEM and self.vlogger_field:
            required[self.vlogger_field] = "VLOGGER_ID_FIELD"
        if load is not None and self.config["load_col"] != "auto":
            required |= dict.fromkeys(sorted(load - required.keys()), "load_col")
        return required

    def _check_frame(self, path: Path, frame: pd.DataFrame, source: Any) -> None:
        if source == FeatureSource.INTERACTION:
            require_values(path, frame, (self.uid_field, self.iid_field))
        elif source == FeatureSource.ITEM:
            require_values(path, frame, (self.iid_field,))
            require_unique(path, frame, self.iid_field)
            self._item_path = path
        elif source == FeatureSource.USER:
            require_values(path, frame, (self.uid_field,))

    def _describe_field(self, frame: pd.DataFrame, name: str, kind: FeatureType, source: Any) -> None:
        """Fill RecBole's tables about a field."""
        self.field2source[name], self.field2type[name] = source, kind
        if "float" in kind.value:
            self.field2bucketnum[name] = 2
        self.field2seqlen[name] = max(map(len, frame[name])) if kind.value.endswith("seq") else 1

    def _check_items(self) -> None:
        """The items are loaded, and every interaction's item has a row."""
        if self.vlogger_field is None:
            return
        if self.item_feat is None:
            path = Path(self.dataset_path, f"{self.dataset_name}.item")
            raise InputError(
                f"File {path} does not exist or is not loaded; it must hold the column {self.vlogger_field!r} "
                f"(`VLOGGER_ID_FIELD`)."
            )
        self._check_every_item_has_a_row()

    def _check_every_item_has_a_row(self) -> None:
        missing = ~is_among(self.inter_feat[self.iid_field], self.item_feat[self.iid_field])
        if not missing.any():
            return
        items = self.inter_feat[self.iid_field][missing]
        message = (
            f"{self._item_path}: {items.nunique()} item(s) of {int(missing.sum())} interaction(s) have no row, first "
            f"{items.iloc[0]!r} (interaction row {int(np.flatnonzero(missing)[0]) + 1})"
        )
        policy = self.options.items_without_row
        if policy == "error":
            raise InputError(f"{message}. Add rows, or set `items_without_row: unknown` (vlogger unknown) or `drop`.")
        self.logger.warning(f"{message}: `items_without_row: {policy}`.")
        if policy == "drop":
            self.inter_feat = self.inter_feat[~missing].reset_index(drop=True)
            if self.benchmark_filename_list is not None:
                ends = np.cumsum([0, *self.file_size_list])
                parts = itertools.pairwise(ends)
                self.file_size_list = [int((~missing[start:end]).sum()) for start, end in parts]

    def _load_additional_feat(self, token: str, dataset_path: str) -> None:
        """``.follow`` is read by :mod:`~recbole_vagnn.data.follow` once ids are known, whether listed or not."""
        suffixes = self.config["additional_feat_suffix"]
        self.config["additional_feat_suffix"] = [s for s in suffixes or [] if s != "follow"] or None
        super()._load_additional_feat(token, dataset_path)

    # --- ids --------------------------------------------------------------------------------------------------

    def _share_id_categories(self) -> None:
        """Users and items keep the same codes in all files, so that later steps compare numbers."""
        for field, feat in ((self.uid_field, self.user_feat), (self.iid_field, self.item_feat)):
            if feat is not None:
                self.inter_feat[field], feat[field] = share_categories([self.inter_feat[field], feat[field]])

    def _remap_ID_all(self) -> None:
        super()._remap_ID_all()
        # RecBole leaves a column as it is if a file read later has another of that name.
        for feat in (getattr(self, name) for name in self.feat_name_list):
            for field in feat:
                if _is_categorical(feat[field]):
                    feat[field] = feat[field].astype(object)

    def _remap(self, remap_list: list[tuple[pd.DataFrame, str, FeatureType]]) -> None:
        """RecBole's ids, from codes in place of one Python string a row."""
        if not remap_list or any(kind != FeatureType.TOKEN for _, _, kind in remap_list):
            super()._remap(remap_list)
            return
        ids, tokens = number_tokens([feat[field] for feat, field, _ in remap_list])
        id_token = np.array(["[PAD]", *tokens])
        token_id = {token: number for number, token in enumerate(id_token.tolist())}
        for (feat, field, _), new_ids in zip(remap_list, ids, strict=True):
            self.field2id_token.setdefault(field, id_token)
            self.field2token_id.setdefault(field, token_id)
            feat[field] = new_ids


def token_codes(columns: Sequence[pd.Series]) -> tuple[list[IntArray], pd.Index]:
    """Codes by which equal tokens of several columns are told.

    Args:
        columns: tokens as categories or objects.

    Returns:
        for each column the code of each row, −1 where the entry is missing; and the token of each code. Some
        tokens may not occur.
    """
    if not all(map(_is_categorical, columns)):
        ends = np.cumsum([len(column) for column in columns])[:-1]
        codes, tokens = pd.factorize(np.concatenate([column.to_numpy(dtype=object) for column in columns]))
        return np.split(codes, ends), pd.Index(tokens, dtype=object)
    kind, *kinds = (column.dtype for column in columns)
    all_tokens, all_codes = kind.categories, [columns[0].array.codes]
    for column, other in zip(columns[1:], kinds, strict=True):
        codes = column.array.codes
        if other is not kind:
            code_of, all_tokens = _codes_of_more(all_tokens, other.categories)
            codes = np.append(code_of, -1)[codes]  # code −1 stays −1
        all_codes.append(codes)
    return all_codes, all_tokens


def _codes_of_more(tokens: pd.Index, more: pd.Index) -> tuple[IntArray, pd.Index]:
    """The code of each token of ``more``, and the tokens by code: those of ``tokens`` keep theirs."""
    codes = tokens.get_indexer(more)
    new = codes < 0
    codes[new] = len(tokens) + np.arange(int(new.sum()))
    return codes, tokens.append(more[new]) if new.any() else tokens


def _is_categorical(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype)


def share_categories(columns: Sequence[pd.Series]) -> list[Any]:
    """The same columns with the same categories, if all of them are categorical."""
    if not all(map(_is_categorical, columns)):
        return list(columns)
    codes, tokens = token_codes(columns)
    kind = pd.CategoricalDtype(tokens)
    return [pd.Categorical.from_codes(part, dtype=kind, validate=False) for part in codes]


def is_among(column: pd.Series, others: pd.Series) -> NDArray[np.bool_]:
    """Which tokens of ``column`` occur in ``others``."""
    (codes, other_codes), tokens = token_codes([column, others])
    present = np.zeros(len(tokens) + 1, dtype=bool)  # the last for a missing entry, code −1
    present[other_codes] = True
    return present[codes]


def number_tokens(columns: Sequence[pd.Series]) -> tuple[list[IntArray], NDArray[np.object_]]:
    """Number tokens from 1 in order of their first occurrence.

    Args:
        columns: tokens as categories or objects, in order.

    Returns:
        int64 numbers of each column, 0 where the entry is missing; and the tokens in order of their numbers.
    """
    codes, tokens = token_codes(columns)
    present = pd.unique(np.concatenate(codes))
    present = present[present >= 0]
    number = np.zeros(len(tokens) + 1, dtype=np.int64)  # the last for a missing entry, code −1
    number[present] = np.arange(1, len(present) + 1)
    return [number[part] for part in codes], tokens.to_numpy()[present]
