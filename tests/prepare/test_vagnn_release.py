"""The five-file release of the VA-GNN authors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recbole.data import data_preparation

from recbole_vagnn import VloggerDataset, registry
from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.defaults import properties_dir
from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare import vagnn_release
from recbole_vagnn.prepare.pipeline.filters import Filters
from recbole_vagnn.prepare.pipeline.malformed import Malformed
from recbole_vagnn.prepare.pipeline.run import prepare
from recbole_vagnn.prepare.pipeline.source import RawData, Request
from recbole_vagnn.prepare.vagnn_release import SOURCE, ReleaseOptions

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "vagnn-release"
PROTOCOL = properties_dir() / "benchmark" / "authors_protocol.yaml"

# Four users, six videos (video 5 has no vlogger), three vloggers.
FILES = {
    "data_size.txt": "4\t6\t3",
    "vlogger_video_data.txt": "0\t0\n0\t1\n1\t2\n1\t3\n2\t4\n2\t5\n",
    "user_video_data.txt": "0 0 2 4\n1 1 3 5 0\n2 4 2 1\n3 5 4 3 2 1 0\n",
    "user_vlogger_data.txt": "0 0 1 2\n1 0 1 2 0\n2 2 1 0\n3 2 2 1 1 0 0\n",
    "user_vlogger_data2.txt": "0 1\n2 0 2\n",
}


class Reading:
    """A release read to the end, and what the counters heard."""

    def __init__(self, folder: Path, max_share: float = 1.0, items_first: bool = True) -> None:
        self.malformed = Malformed(max_share)
        self.bytes, self.touched = 0, []
        request = Request(folder, ReleaseOptions(), frozenset(), self.malformed, self._advance, self._touch)
        self.data: RawData = SOURCE.read(request)
        assert self.data.items is not None
        assert set(self.touched) <= {"data_size.txt"}  # nothing big before the batches are asked for
        items = self._rows(self.data.items.batches) if items_first else None
        self.log = self._rows(self.data.log.batches)
        self.items = self._rows(self.data.items.batches) if items is None else items
        self.pairs = self._rows(self.data.follows.batches) if self.data.follows else None

    def _advance(self, size: int) -> None:
        self.bytes += size

    def _touch(self, path: Path) -> None:
        self.touched.append(path.name)

    @staticmethod
    def _rows(batches: Any) -> list[tuple[int, ...]]:
        rows: list[tuple[int, ...]] = []
        schema = None
        for batch in batches:
            assert 0 < batch.num_rows <= vagnn_release._BATCH_ROWS
            assert schema in (None, batch.schema)
            assert {str(kind) for kind in batch.schema.types} == {"int64"}
            schema = batch.schema
            rows += zip(*(column.to_pylist() for column in batch.columns), strict=True)
        return rows

    @property
    def remarks(self) -> str:
        return "\n".join(self.data.remarks)


def write(folder: Path, **changes: str | bytes | None) -> Path:
    """The good files with some changed or, with None, left out; keys are names without ``.txt``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**FILES, **{f"{key}.txt": text for key, text in changes.items()}}.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif content is not None:
            (folder / name).write_text(content, encoding="utf-8")
    return folder


# --- good files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("items_first", [True, False])
def test_five_good_files(tmp_path: Path, items_first: bool) -> None:
    read = Reading(write(tmp_path), items_first=items_first)
    assert read.log[:3] == [(0, 0, 0), (0, 2, 1), (0, 4, 2)]
    assert read.log[3:7] == [(1, 1, 0), (1, 3, 1), (1, 5, 2), (1, 0, 3)]
    assert read.log[-6:] == [(3, 5, 0), (3, 4, 1), (3, 3, 2), (3, 2, 3), (3, 1, 4), (3, 0, 5)]
    assert len(read.log) == 16
    assert read.items == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)]
    assert read.pairs == [(0, 1), (2, 0), (2, 2)]
    assert read.data.remarks == ["user_vlogger_data.txt agrees with the other files at all 16 positions."]
    assert read.malformed.total == 0
    assert (read.data.log.user, read.data.log.item, read.data.log.time) == ("user", "video", "position")
    assert read.data.has_order


def test_every_file_is_read_once_and_every_byte_reported(tmp_path: Path) -> None:
    read = Reading(write(tmp_path))
    assert sorted(read.touched) == sorted(FILES)
    assert read.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert read.malformed.rows == {"vlogger_video_data.txt": 6, "user_video_data.txt": 4, "user_vlogger_data2.txt": 2}


@pytest.mark.parametrize("change", ["no final newline", "windows", "byte order mark", "blank lines", "spaces"])
def test_harmless_differences_of_form_change_nothing(tmp_path: Path, change: str) -> None:
    plain = Reading(write(tmp_path / "plain"))

    def altered(name: str, text: str) -> bytes:
        forms = {
            "no final newline": text.rstrip("\n").encode(),
            "windows": text.replace("\n", "\r\n").encode(),
            "byte order mark": text.encode("utf-8-sig"),
            "blank lines": (text + "\n \n").encode(),
            "spaces": (text if "\t" in text else text.replace(" ", "  ").replace("\n", " \n")).encode(),
        }
        return forms[change]

    other = write(tmp_path / "other", **{name[:-4]: altered(name, text) for name, text in FILES.items()})
    read = Reading(other, max_share=0.0)
    assert (read.log, read.items, read.pairs) == (plain.log, plain.items, plain.pairs)
    assert read.data.remarks == plain.data.remarks


def test_a_missing_final_newline_loses_no_digit(tmp_path: Path) -> None:
    read = Reading(
        write(
            tmp_path,
            data_size="21\t32\t43",
            user_video_data="20 31 30",
            vlogger_video_data="42\t31",
            user_vlogger_data2="20 42",
            user_vlogger_data=None,
        )
    )
    assert read.log == [(20, 31, 0), (20, 30, 1)]
    assert read.items == [(31, 42)]
    assert read.pairs == [(20, 42)]


def test_batches_are_bounded_and_positions_go_on_over_their_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vagnn_release, "_BATCH_ROWS", 4)  # Reading checks the bound
    videos = list(range(50))
    text = f"0 {' '.join(map(str, videos))}\n1 7\n2 8 9\n"
    items = "".join(f"{video % 3}\t{video}\n" for video in videos)
    read = Reading(
        write(tmp_path, data_size="3\t50\t3", user_video_data=text, vlogger_video_data=items, user_vlogger_data=None)
    )
    assert read.log == [*((0, video, video) for video in videos), (1, 7, 0), (2, 8, 0), (2, 9, 1)]
    assert read.items == [(video, video % 3) for video in videos]


def test_repeated_lines_and_pairs_are_tolerated_and_counted(tmp_path: Path) -> None:
    items, pairs = FILES["vlogger_video_data.txt"] + "1\t3\n0\t0\n", "0 1 1 1\n2 0 2 0\n3\n"
    read = Reading(write(tmp_path, vlogger_video_data=items, user_vlogger_data2=pairs), max_share=0.0)
    assert len(read.items) == 6
    assert "user_vlogger_data2.txt repeats 3 pairs; each counts once." in read.data.remarks
    assert "vlogger_video_data.txt repeats 2 lines; each counts once." in read.data.remarks
    assert sorted(set(read.pairs or ())) == [(0, 1), (2, 0), (2, 2)]


def test_the_last_occurrence_of_a_repeated_video_keeps_the_authors_test_item() -> None:
    """RecBole keeps the first of repeated pairs; the last video of a line would then no longer be the last."""
    assert SOURCE.defaults == {"duplicates": "last", "min_history": 1, "cold_items": True}
    assert Filters(**SOURCE.defaults).least_history == 1


# --- optional files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("data_size", "data_size.txt is not there: ids were not checked against the sizes."),
        ("user_vlogger_data", "user_vlogger_data.txt is not there: nothing to cross-check."),
        ("user_vlogger_data2", "user_vlogger_data2.txt is not there: no follow pairs."),
    ],
)
def test_an_optional_file_may_be_missing_with_a_remark(tmp_path: Path, name: str, remark: str) -> None:
    read = Reading(write(tmp_path, **{name: None}))
    assert remark in read.data.remarks
    assert len(read.log) == 16
    assert (read.pairs is None) == (name == "user_vlogger_data2")


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (["user_video_data"], r"lacks user_video_data.txt \(a line `user v1"),
        (["vlogger_video_data"], r"lacks vlogger_video_data.txt \(a line"),
        (["user_video_data", "vlogger_video_data"], r"lacks user_video_data.txt .* and vlogger_video_data.txt"),
    ],
)
def test_a_required_file_is_named(tmp_path: Path, missing: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Reading(write(tmp_path, **dict.fromkeys(missing)))


def test_the_input_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        Reading(write(tmp_path) / "data_size.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4\t6", r"data_size.txt, line 1: 2 numbers \('4\\t6'\)"),
        ("4\t6\tthree", r"data_size.txt, line 1: not a whole number from 0 \('three'\)"),
        ("4\t6\t3\n5\t6\t3\n", r"data_size.txt, line 2: a second line"),
        ("\n", r"data_size.txt is empty"),
    ],
)
def test_bad_sizes_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Reading(write(tmp_path, data_size=text))


def test_sizes_that_differ_from_what_is_found_are_remarked(tmp_path: Path) -> None:
    read = Reading(write(tmp_path, data_size="5\t8\t4"))
    assert "data_size.txt says 5 users; user_video_data.txt has 4." in read.data.remarks
    assert "data_size.txt says 8 videos; vlogger_video_data.txt has 6." in read.data.remarks
    assert "data_size.txt says 4 vloggers; vlogger_video_data.txt has 3." in read.data.remarks


def test_users_too_short_for_leave_one_out_are_counted(tmp_path: Path) -> None:
    read = Reading(write(tmp_path, user_video_data="0 1 2\n1 3 3 3 3\n2 1 2 3\n3 0\n", user_vlogger_data=None))
    assert "3 users have fewer than 3 videos" in read.remarks


# --- malformed lines --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "line", "reason", "blamed"),
    [
        ("user_video_data", "0 0 2\n1 x 3 4\n", 2, "not a whole number from 0", "x"),
        ("user_video_data", "0 0 2\n1 3.0 4\n", 2, "not a whole number from 0", "3.0"),
        ("user_video_data", "0 0 2\n1 -3 4\n", 2, "not a whole number from 0", "-3"),
        ("user_video_data", "0 0 2\n1 1_0 4\n", 2, "not a whole number from 0", "1_0"),
        ("user_video_data", "0 0 2\n1 ٣ 4\n", 2, "not a whole number from 0", "٣"),
        ("user_video_data", b"0 0 2\n1 \xff 4\n", 2, "not a whole number from 0", "�"),
        ("user_video_data", "0 0 2\n\n1\n", 3, "no video after the user", "1"),
        ("user_video_data", "0 0 2\n0 3 4\n", 2, "a user who has a line already", "0 3 4"),
        ("user_video_data", "0 0 2\n4 3 4\n", 2, "user id beyond the 4 of data_size.txt", "4"),
        ("user_video_data", "0 0 2\n1 6 4\n", 2, "video id beyond the 6 of data_size.txt", "6"),
        ("user_video_data", f"0 0 2\n1 {'9' * 5000} 4\n", 2, "a number beyond 64 bits", "9" * 5000),
        ("user_vlogger_data2", "0 1\n2 3 0\n", 2, "vlogger id beyond the 3 of data_size.txt", "3"),
        ("user_vlogger_data2", "0 1\n0 2\n", 2, "a user who has a line already", "0 2"),
        ("user_vlogger_data2", "0 1\nnew 2\n", 2, "not a whole number from 0", "new"),
        ("vlogger_video_data", "0\t0\n1 2\n", 2, "1 tab-separated fields instead of 2", "1 2"),
        ("vlogger_video_data", "0\t0\n1\t2\t3\n", 2, "3 tab-separated fields instead of 2", "1\t2\t3"),
        ("vlogger_video_data", "0\t0\n1\t\n", 2, "not one vlogger and one video", "1\t"),
        ("vlogger_video_data", "0\t0\n1\t2 3\n", 2, "not one vlogger and one video", "1\t2 3"),
        ("vlogger_video_data", "0\t0\nv\t2\n", 2, "not a whole number from 0", "v"),
        ("vlogger_video_data", "0\t0\n1\t0\n", 2, "a video that has another vlogger already", "1\t0"),
        ("vlogger_video_data", "0\t0\n3\t2\n", 2, "vlogger id beyond the 3 of data_size.txt", "3"),
        ("vlogger_video_data", "0\t0\n1\t6\n", 2, "video id beyond the 6 of data_size.txt", "6"),
    ],
)
def test_a_malformed_line_is_left_out_and_located(
    tmp_path: Path, name: str, text: str | bytes, line: int, reason: str, blamed: str
) -> None:
    folder = write(tmp_path, **{name: text, "user_vlogger_data": None})
    read = Reading(folder)
    (bad,) = read.malformed.first
    assert (bad.file, bad.line, bad.reason, bad.text) == (f"{name}.txt", line, reason, blamed)
    assert read.malformed.bad == {f"{name}.txt": 1}
    assert read.malformed.rows[f"{name}.txt"] == 2
    if name == "user_video_data":
        assert read.log == [(0, 0, 0), (0, 2, 1)]
    elif name == "vlogger_video_data":
        assert read.items == [(0, 0)]
    else:
        assert read.pairs == [(0, 1)]
    with pytest.raises(InputError, match=rf"{name}.txt: 1 of 2 rows are malformed"):
        Reading(folder, max_share=0.001)


def test_ids_beyond_64_bits_are_malformed_without_sizes_too(tmp_path: Path) -> None:
    largest = 2**63 - 1
    read = Reading(
        write(tmp_path, data_size=None, user_video_data=f"0 {largest} 1\n1 {largest + 1} 2\n", user_vlogger_data=None)
    )
    assert read.log == [(0, largest, 0), (0, 1, 1)]
    assert [bad.reason for bad in read.malformed.first] == ["video id beyond 64 bits"]


# --- the redundant file -----------------------------------------------------------------------------------------


def disagreements(tmp_path: Path, text: str, **more: str) -> str:
    read = Reading(write(tmp_path, user_vlogger_data=text, **more))
    assert len(read.log) == (16 if not more else len(read.log))  # it is used for nothing else
    (remark,) = [remark for remark in read.data.remarks if remark.startswith("user_vlogger_data.txt")]
    return remark


GOOD = FILES["user_vlogger_data.txt"].splitlines()


@pytest.mark.parametrize(
    ("lines", "count", "places"),
    [
        ([GOOD[0], "1 0 2 2 0", *GOOD[2:]], 1, ["line 2, position 1: expected vlogger 1, found 2"]),
        (
            ["0 0 1 1", *GOOD[1:3], "3 2 2 1 1 0 1"],
            2,
            ["line 1, position 2: expected vlogger 2, found 1", "line 4, position 5: expected vlogger 0, found 1"],
        ),
        ([GOOD[0], "1 0 1 2", *GOOD[2:]], 1, ["line 2: expected 4 vloggers, found 3"]),
        ([GOOD[0], "1 0 1 b 0", *GOOD[2:]], 1, ["line 2: not a whole number from 0 ('b')"]),
        (GOOD[:3], 1, ["line 4: expected user 3, found no line"]),
        ([*GOOD, "9 1"], 1, ["line 5: expected the end of the file"]),
        ([GOOD[0], "", *GOOD[2:]], 1, ["line 2: expected user 1, found no line"]),
        (
            [GOOD[1], GOOD[0], *GOOD[2:]],
            2,
            ["line 1: expected user 0, found 1", "line 2: expected user 1, found 0"],
        ),
        (
            ["0 5 5 5", "1 5 5 5 5", *GOOD[2:]],
            7,
            [f"line 1, position {n}: expected vlogger {n}, found 5" for n in range(3)]
            + ["line 2, position 0: expected vlogger 0, found 5", "line 2, position 1: expected vlogger 1, found 5; …"],
        ),
    ],
)
def test_where_the_redundant_file_disagrees_is_said(
    tmp_path: Path, lines: list[str], count: int, places: list[str]
) -> None:
    remark = disagreements(tmp_path, "\n".join(lines) + "\n")
    assert f"disagrees with user_video_data.txt and vlogger_video_data.txt in {count} places" in remark
    shown = remark.partition("the oldest): ")[2].removesuffix(".")
    assert shown.replace(", …", "; …").split("; ") == "; ".join(places).split("; ")


def test_a_vlogger_for_a_video_that_should_have_none_is_a_disagreement(tmp_path: Path) -> None:
    remark = disagreements(
        tmp_path,
        FILES["user_vlogger_data.txt"],
        data_size="4\t6\t3",
        vlogger_video_data=FILES["vlogger_video_data.txt"].replace("2\t5\n", ""),
    )
    assert "in 2 places" in remark
    assert "line 2, position 2: expected an unknown vlogger, found 2" in remark


def test_a_malformed_line_of_users_does_not_shift_the_comparison(tmp_path: Path) -> None:
    remark = disagreements(
        tmp_path,
        FILES["user_vlogger_data.txt"],
        user_video_data=FILES["user_video_data.txt"].replace("1 1 3 5 0", "1 1 x 5 0"),
    )
    assert remark == "user_vlogger_data.txt agrees with the other files at all 12 positions."


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("takatak", "takatak"),
        ("TakaTak", "takatak"),
        ("wechat", "wechat-channels"),
        ("WeChat-Channels", "wechat-channels"),
        ("mine", "mine"),
    ],
)
def test_the_name_follows_the_folder_so_that_published_settings_apply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, name: str
) -> None:
    (tmp_path / folder).mkdir()
    assert SOURCE.dataset_name(tmp_path / folder, ReleaseOptions()) == name
    monkeypatch.chdir(tmp_path / folder)
    assert SOURCE.dataset_name(Path("."), ReleaseOptions()) == name


def test_the_source_describes_itself() -> None:
    assert SOURCE.name == "vagnn-release"
    assert SOURCE.dataset_name(None, ReleaseOptions()) == "vagnn-release"
    assert (SOURCE.positive, SOURCE.follow_from) == (("all",), ())


# --- from the release to a run -----------------------------------------------------------------------------------


def test_the_prepared_data_set_keeps_the_authors_split_under_their_protocol(tmp_path: Path) -> None:
    lines = {0: [0, 2, 4], 1: [1, 3, 2, 1], 2: [4, 2, 1, 2, 4], 3: [0, 4, 3, 2, 1]}  # two repeated videos
    text = "\n".join(" ".join(map(str, [user, *videos])) for user, videos in lines.items())
    write(tmp_path / "takatak", user_video_data=text, user_vlogger_data=None)
    made = prepare(SOURCE.name, tmp_path / "takatak", data_path=tmp_path / "data")
    assert made.name == "takatak"

    options = {"data_path": str(tmp_path / "data"), "topk": [1], "valid_metric": "Recall@1"}
    config = VloggerConfig("VAGNN", made.name, options, [PROTOCOL])
    assert config["ssl_tau"] == 0.05  # the settings published for TakaTak
    loaders = data_preparation(config, registry.create_dataset(config))
    splits = [loader._dataset for loader in loaders]
    assert [split.item_num - 1 for split in splits] == [6, 6, 6]  # video 5, which nobody watched, is ranked too
    pairs = [pairs_of(split) for split in splits]
    assert pairs[2] == {(user, videos[-1]) for user, videos in lines.items()}
    assert pairs[1] == {(user, videos[-2]) for user, videos in lines.items()}
    assert pairs[0] == {(0, 0), (1, 3), (2, 1), (3, 0), (3, 4), (3, 3)}
    assert splits[0].follow is not None
    assert len(splits[0].follow.users) == 3
    users, videos = (splits[2].field2id_token[field] for field in ("user_id", "item_id"))
    history = [loaders[2].uid2history_item[user] for user in loaders[2].uid_list.tolist()]
    masked = {(int(users[u]), int(videos[v])) for u, row in zip(loaders[2].uid_list, history, strict=True) for v in row}
    assert masked == pairs[0]


def pairs_of(split: VloggerDataset) -> set[tuple[int, int]]:
    """User and video of a split in original ids."""
    users, videos = (split.field2id_token[field][split.inter_feat[field].numpy()] for field in ("user_id", "item_id"))
    return {(int(user), int(video)) for user, video in zip(users, videos, strict=True)}


# --- the real parts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "users", "videos", "vloggers", "pairs", "repeats"),
    [("takatak", 14_571, 13_133, 912, 262_548, 0), ("wechat", 19_737, 25_976, 2_088, 34_450, 2_006)],
)
def test_the_real_parts_of_the_release(
    tmp_path: Path, name: str, users: int, videos: int, vloggers: int, pairs: int, repeats: int
) -> None:
    """Everything but the two files that are not public; three invented users stand in for them."""
    if not (REAL / name).is_dir():
        pytest.skip(f"{REAL / name} is not there")
    for file in (REAL / name).iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "user_video_data.txt").write_text(f"0 0 1 2\n1 5 4 3\n{users - 1} {videos - 1} 0 7")
    read = Reading(tmp_path, max_share=0.0)
    assert len(read.log) == 9
    assert read.log[-3] == (users - 1, videos - 1, 0)
    assert len(read.items) == len({video for video, _ in read.items}) == videos
    assert {vlogger for _, vlogger in read.items} == set(range(vloggers))
    assert read.pairs is not None
    assert len(read.pairs) == pairs
    assert len(set(read.pairs)) == pairs - repeats
    repeated = f"user_vlogger_data2.txt repeats {repeats:,} pairs; each counts once."
    assert (repeated in read.data.remarks) == bool(repeats)
    assert f"data_size.txt says {users:,} users; user_video_data.txt has 3." in read.data.remarks
    assert "videos; vlogger_video_data.txt has" not in read.remarks
