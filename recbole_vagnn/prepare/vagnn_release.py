"""``vagnn-release``: the five files in which the VA-GNN authors publish a data set (arXiv 2405.18260).

Layout, ids being whole numbers from 0:

- ``user_video_data.txt``: a line ``user v1 v2 … vn`` for each user, oldest video first;
- ``vlogger_video_data.txt``: a line ``vlogger<TAB>video`` for each video;
- ``user_vlogger_data2.txt``: a line ``user p1 … pk`` of vloggers, the pairs of the auxiliary task (optional);
- ``user_vlogger_data.txt``: a line ``user p1 … pn``, the vloggers of the same line's videos (optional, redundant);
- ``data_size.txt``: users, videos and vloggers, tab-separated, one line (optional).

The position in a line is the time, 0 the oldest. The authors hold out a line's last video for the test and the one
before it for validation; of a repeated video the last occurrence therefore counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recbole_vagnn.errors import InputError
from recbole_vagnn.options import Options
from recbole_vagnn.prepare.pipeline.source import Follows, Items, Log, RawData, Request, Source

USER_VIDEOS = "user_video_data.txt"
VLOGGER_VIDEOS = "vlogger_video_data.txt"
USER_VLOGGERS = "user_vlogger_data.txt"
PAIRS = "user_vlogger_data2.txt"
SIZES = "data_size.txt"

# Folder of the release → the name under which the settings published for it are shipped (properties/dataset/).
_NAMES = {"wechat": "wechat-channels", "wechat-channels": "wechat-channels", "takatak": "takatak"}
_BATCH_ROWS = 2**18
_PLACES_SHOWN = 5
_REPORT_BYTES = 2**20
_LIMIT = 2**63  # ids are int64
_LONGEST = 19  # digits of the largest
_NUMBERS = re.compile(rb"[0-9\s]*")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class ReleaseOptions(Options):
    """The release needs no options of its own."""


@dataclass(frozen=True)
class _Sizes:
    """Number of users, videos and vloggers; ids are below them."""

    users: int = _LIMIT
    videos: int = _LIMIT
    vloggers: int = _LIMIT


class _Malformed(Exception):
    """Why a line cannot be read, and the text to blame."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(reason)
        self.reason, self.text = reason, text


def _read(request: Request) -> RawData:
    folder = request.folder
    _require_files(folder)
    remarks: list[str] = []
    sizes = _read_sizes(request, folder / SIZES, remarks)
    creators = _Creators(request, folder / VLOGGER_VIDEOS, sizes, remarks)
    return RawData(
        log=Log(_log(request, folder, sizes, creators, remarks), user="user", item="video", time="position"),
        items=Items(creators.batches(), item="video", vlogger="vlogger"),
        follows=_follows(request, folder / PAIRS, sizes, remarks),
        remarks=remarks,
    )


def _require_files(folder: Path) -> None:
    contents = {USER_VIDEOS: "a line `user v1 … vn` for each user", VLOGGER_VIDEOS: "a line `vlogger<TAB>video` each"}
    missing = [f"{name} ({content})" for name, content in contents.items() if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder} lacks {' and '.join(missing)}. Put the missing files there, or give --input the folder that "
            f"holds the release's files."
        )


# --- lines ------------------------------------------------------------------------------------------------------


def _lines(request: Request, path: Path) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and content of each line that is not blank; a final newline may be missing."""
    request.touch(path)
    waiting = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            waiting += len(line)
            if waiting >= _REPORT_BYTES:
                request.advance(waiting)
                waiting = 0
            text = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
            if text.strip():
                yield number, text.rstrip(b"\r\n")
    request.advance(waiting)


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")


def _whole_numbers(line: bytes) -> list[int]:
    """The numbers of a line, separated by spaces."""
    tokens = line.split()
    if _NUMBERS.fullmatch(line) is None:
        bad = next(token for token in tokens if not token.isdigit())
        raise _Malformed("not a whole number from 0", _text(bad))
    if any(len(token) > _LONGEST for token in tokens):
        raise _Malformed("a number beyond 64 bits", _text(max(tokens, key=len)))
    return list(map(int, tokens))


def _check_ids(kind: str, ids: Sequence[int], limit: int) -> None:
    if ids and max(ids) >= limit:
        bound = "64 bits" if limit == _LIMIT else f"the {limit:,} of {SIZES}"
        raise _Malformed(f"{kind} id beyond {bound}", str(max(ids)))


def _user_lines(
    request: Request, path: Path, sizes: _Sizes, kind: str, least: int
) -> Iterator[tuple[int, int, list[int]]]:
    """Line number, user and the ids behind it; malformed lines are counted and left out.

    Args:
        request: counts.
        path: the file.
        sizes: bounds of the ids.
        kind: what the ids behind the user are, "video" or "vlogger".
        least: fewest of them on a line.
    """
    seen: set[int] = set()
    limit = sizes.videos if kind == "video" else sizes.vloggers
    for number, line in _lines(request, path):
        request.malformed.read(path, 1)
        try:
            user, *ids = _whole_numbers(line)
            _check_ids("user", (user,), sizes.users)
            _check_ids(kind, ids, limit)
            if len(ids) < least:
                raise _Malformed(f"no {kind} after the user", _text(line))
            if user in seen:
                raise _Malformed("a user who has a line already", _text(line))
        except _Malformed as bad:
            request.malformed.add(path, number, bad.reason, bad.text)
            request.malformed.check(path, finished=False)
            continue
        seen.add(user)
        yield number, user, ids
    request.malformed.check(path, finished=True)


def _batches(lines: Iterable[tuple[int, list[int]]], item: str) -> Iterator[pa.RecordBatch]:
    """Rows (user, item, position on the line), int64, in batches of bounded size."""
    users: list[int] = []
    ids: list[list[int]] = []
    rows = 0
    for user, line in lines:
        if not line:
            continue
        users.append(user)
        ids.append(line)
        rows += len(line)
        if rows >= _BATCH_ROWS:
            yield from _rows(users, ids, item)
            users, ids, rows = [], [], 0
    if rows:
        yield from _rows(users, ids, item)


def _rows(users: list[int], ids: list[list[int]], item: str) -> Iterator[pa.RecordBatch]:
    counts = np.array([len(line) for line in ids])
    starts = np.cumsum(counts) - counts
    columns = {
        "user": np.repeat(np.array(users, dtype=np.int64), counts),
        item: np.array([one for line in ids for one in line], dtype=np.int64),
        "position": np.arange(counts.sum(), dtype=np.int64) - np.repeat(starts, counts),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    for start in range(0, batch.num_rows, _BATCH_ROWS):  # a single line may be longer than a batch
        yield batch.slice(start, _BATCH_ROWS)


# --- the five files ---------------------------------------------------------------------------------------------


def _read_sizes(request: Request, path: Path, remarks: list[str]) -> _Sizes:
    if not path.is_file():
        remarks.append(f"{SIZES} is not there: ids were not checked against the sizes.")
        return _Sizes()
    numbers: list[int] = []
    for number, line in _lines(request, path):
        try:
            if numbers:
                raise _Malformed("a second line", _text(line))
            numbers = _whole_numbers(line)
            if len(numbers) != 3:
                raise _Malformed(f"{len(numbers)} numbers", _text(line))
        except _Malformed as bad:
            raise InputError(
                f"{path}, line {number}: {bad.reason} ({bad.text!r}). It must hold one line, the numbers of users, "
                f"videos and vloggers separated by tabs. Correct it, or remove the file: it is optional."
            ) from None
    if not numbers:
        raise InputError(f"{path} is empty. Remove it (it is optional), or write users, videos and vloggers into it.")
    return _Sizes(*numbers)


def _compare_sizes(remarks: list[str], kind: str, stated: int, found: int, name: str) -> None:
    if stated not in (found, _LIMIT):
        remarks.append(f"{SIZES} says {stated:,} {kind}; {name} has {found:,}.")


@dataclass
class _Creators:
    """The vlogger of each video, read when first asked for."""

    request: Request
    path: Path
    sizes: _Sizes
    remarks: list[str]
    repeats: int = field(default=0, init=False)

    @cached_property
    def of_video(self) -> dict[int, int]:
        """Video → vlogger, in the order of the file."""
        table: dict[int, int] = {}
        for number, line in _lines(self.request, self.path):
            self.request.malformed.read(self.path, 1)
            try:
                self._add(table, line)
            except _Malformed as bad:
                self.request.malformed.add(self.path, number, bad.reason, bad.text)
                self.request.malformed.check(self.path, finished=False)
        self.request.malformed.check(self.path, finished=True)
        _compare_sizes(self.remarks, "videos", self.sizes.videos, len(table), VLOGGER_VIDEOS)
        _compare_sizes(self.remarks, "vloggers", self.sizes.vloggers, len(set(table.values())), VLOGGER_VIDEOS)
        if self.repeats:
            self.remarks.append(f"{VLOGGER_VIDEOS} repeats {self.repeats:,} lines; each counts once.")
        return table

    def _add(self, table: dict[int, int], line: bytes) -> None:
        fields = line.split(b"\t")
        if len(fields) != 2:
            raise _Malformed(f"{len(fields)} tab-separated fields instead of 2", _text(line))
        numbers = _whole_numbers(line)
        if len(numbers) != 2:
            raise _Malformed("not one vlogger and one video", _text(line))
        vlogger, video = numbers
        _check_ids("vlogger", (vlogger,), self.sizes.vloggers)
        _check_ids("video", (video,), self.sizes.videos)
        before = len(table)
        if table.setdefault(video, vlogger) != vlogger:
            raise _Malformed("a video that has another vlogger already", _text(line))
        self.repeats += len(table) == before

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Rows (video, vlogger), int64."""
        rows = iter(self.of_video.items())
        while part := list(islice(rows, _BATCH_ROWS)):
            videos, vloggers = np.array(part, dtype=np.int64).T
            yield pa.RecordBatch.from_pydict({"video": videos, "vlogger": vloggers})


def _log(
    request: Request, folder: Path, sizes: _Sizes, creators: _Creators, remarks: list[str]
) -> Iterator[pa.RecordBatch]:
    """Rows (user, video, position); compares the redundant file on the way."""
    check = _CrossCheck(request, folder / USER_VLOGGERS, creators)
    users = short = 0

    def lines() -> Iterator[tuple[int, list[int]]]:
        nonlocal users, short
        for number, user, videos in _user_lines(request, folder / USER_VIDEOS, sizes, "video", least=1):
            check.compare(number, user, videos)
            users += 1
            short += len(set(videos)) < 3
            yield user, videos

    yield from _batches(lines(), "video")
    _compare_sizes(remarks, "users", sizes.users, users, USER_VIDEOS)
    if short:
        remarks.append(
            f"{short:,} users have fewer than 3 videos: leave-one-out leaves them without training or validation."
        )
    remarks.append(check.remark())


def _follows(request: Request, path: Path, sizes: _Sizes, remarks: list[str]) -> Follows | None:
    """The pairs of the auxiliary task, without time."""
    if not path.is_file():
        remarks.append(f"{PAIRS} is not there: no follow pairs.")
        return None

    def batches() -> Iterator[pa.RecordBatch]:
        repeats = 0

        def lines() -> Iterator[tuple[int, list[int]]]:
            nonlocal repeats
            for _, user, vloggers in _user_lines(request, path, sizes, "vlogger", least=0):
                repeats += len(vloggers) - len(set(vloggers))
                yield user, vloggers

        for batch in _batches(lines(), "vlogger"):
            yield batch.select(["user", "vlogger"])
        if repeats:
            remarks.append(f"{PAIRS} repeats {repeats:,} pairs; each counts once.")

    return Follows(batches(), user="user", vlogger="vlogger")


# --- the redundant file -----------------------------------------------------------------------------------------


class _CrossCheck:
    """Compares ``user_vlogger_data.txt`` with what the two files it follows from say; it is used for nothing else.

    Args:
        request: told of the file and its bytes.
        path: the file, which may be missing.
        creators: vlogger of each video.
    """

    def __init__(self, request: Request, path: Path, creators: _Creators) -> None:
        self._there = path.is_file()
        self._lines = _lines(request, path) if self._there else iter(())
        self._ahead: tuple[int, bytes] | None = None
        self._creators = creators
        self._positions = self._differences = 0
        self._first: list[str] = []

    def compare(self, number: int, user: int, videos: list[int]) -> None:
        """Compare the line of the same number."""
        if not self._there:
            return
        line = self._line(number)
        if line is None:
            self._differ(f"line {number}: expected user {user}, found no line")
            return
        self._positions += len(videos)
        try:
            found_user, *found = _whole_numbers(line)
        except _Malformed as bad:
            self._differ(f"line {number}: {bad.reason} ({bad.text!r})")
            return
        if found_user != user:
            self._differ(f"line {number}: expected user {user}, found {found_user}")
        elif len(found) != len(videos):
            self._differ(f"line {number}: expected {len(videos)} vloggers, found {len(found)}")
        else:
            self._compare_vloggers(number, found, [self._creators.of_video.get(video) for video in videos])

    def _compare_vloggers(self, number: int, found: Sequence[int], expected: Sequence[int | None]) -> None:
        if found == expected:
            return
        for position, (is_there, wanted) in enumerate(zip(found, expected, strict=True)):
            if is_there != wanted:
                name = "an unknown vlogger" if wanted is None else f"vlogger {wanted}"
                self._differ(f"line {number}, position {position}: expected {name}, found {is_there}")

    def _line(self, number: int) -> bytes | None:
        """The line of that number, None where it is blank or beyond the end."""
        while (found := self._following()) is not None:
            if found[0] == number:
                return found[1]
            if found[0] > number:
                self._ahead = found
                return None
        return None

    def _following(self) -> tuple[int, bytes] | None:
        """The line that was read too far, or the next one; None at the end."""
        ahead, self._ahead = self._ahead, None
        return ahead or next(self._lines, None)

    def _differ(self, place: str) -> None:
        self._differences += 1
        if len(self._first) < _PLACES_SHOWN:
            self._first.append(place)

    def remark(self) -> str:
        """What the comparison gave, to be asked after the last line."""
        if not self._there:
            return f"{USER_VLOGGERS} is not there: nothing to cross-check."
        while (left := self._following()) is not None:
            self._differ(f"line {left[0]}: expected the end of the file")
        if not self._differences:
            return f"{USER_VLOGGERS} agrees with the other files at all {self._positions:,} positions."
        more = ", …" if self._differences > len(self._first) else ""
        return (
            f"{USER_VLOGGERS} disagrees with {USER_VIDEOS} and {VLOGGER_VIDEOS} in {self._differences:,} places; it "
            f"is redundant and was not used. The first (positions from 0, the oldest): {'; '.join(self._first)}{more}."
        )


# --- source -----------------------------------------------------------------------------------------------------


def _dataset_name(path: Path | None, options: Any) -> str:  # noqa: ARG001
    """``takatak`` and ``wechat-channels`` for the folders of these, so that the published settings apply."""
    name = path.expanduser().resolve().name if path is not None else ""
    return _NAMES.get(name.lower(), name) or SOURCE.name


SOURCE = Source(
    name="vagnn-release",
    summary="The VA-GNN authors' release: user_video_data.txt, vlogger_video_data.txt and three optional files.",
    input="folder with user_video_data.txt and vlogger_video_data.txt",
    options=ReleaseOptions,
    read=_read,
    dataset_name=_dataset_name,
    # Their split and their catalogue: the last occurrence of a video counts, nobody and nothing is left out.
    defaults={"duplicates": "last", "min_history": 1, "cold_items": True},
)
