"""The source ``ml-100k`` and its embedded data sets, ``ml-100k-director`` above all."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_vagnn import registry
from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.data.fingerprint import split_hash
from recbole_vagnn.data.tripartite import TripartiteGraph
from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare import ml100k
from recbole_vagnn.prepare.ml100k import RELATIONS, prepare_embedded, source_folder
from recbole_vagnn.prepare.pipeline import run
from recbole_vagnn.prepare.pipeline.run import prepare

NAME = "ml-100k-director"
FILES = [f"{NAME}.inter", f"{NAME}.item"]
ALL_FILES = sorted(
    [*FILES, *(f"{NAME}.{end}" for end in ("prepare.json", "report.json", "report.md", "report.png", "yaml"))]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("data") / NAME
    prepare_embedded(target)
    return target


@pytest.fixture(scope="module")
def inter(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / FILES[0], sep="\t", dtype=str)


@pytest.fixture(scope="module")
def item(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / FILES[1], sep="\t", dtype=str)


def test_the_folder_holds_data_options_and_report_and_is_readable_by_all(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ALL_FILES
    assert [path.name for path in folder.parent.iterdir()] == [NAME]
    assert folder.stat().st_mode & 0o777 == 0o755


def test_interactions_are_movielens_own(inter: pd.DataFrame) -> None:
    assert list(inter) == ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    assert len(inter) == 100_000
    assert inter["user_id:token"].nunique() == 943
    assert inter["item_id:token"].nunique() == 1682
    assert inter.iloc[0].tolist() == ["196", "242", "3", "881250949"]
    source = pd.read_csv(source_folder() / "ml-100k.inter", sep="\t", dtype=str)
    assert inter.to_numpy().tolist() == source.to_numpy().tolist()


def test_counts_of_films_and_directors(item: pd.DataFrame) -> None:
    assert list(item) == ["item_id:token", "director_id:token", "directors:token_seq"]
    assert item["item_id:token"].tolist() == [str(n) for n in range(1, 1683)]
    director = item["director_id:token"]
    assert director.notna().sum() == 1590
    assert director.nunique() == 1056
    assert (item["directors:token_seq"].notna() == director.notna()).all()


def test_of_several_directors_the_first_is_taken_and_all_are_listed(item: pd.DataFrame) -> None:
    listed = item["directors:token_seq"].dropna().str.split(" ")
    assert (listed.map(len) > 1).sum() == 93
    assert (listed.str[0] == item["director_id:token"].dropna()).all()
    assert (listed.map(len) == listed.map(set).map(len)).all()


def test_directors_are_those_of_the_graph(item: pd.DataFrame) -> None:
    source = source_folder()
    links = dict(line.split("\t") for line in (source / "ml-100k.link").read_text().splitlines()[1:])
    directed: dict[str, list[str]] = {}
    for line in (source / "ml-100k.kg").read_text().splitlines()[1:]:
        head, relation, tail = line.split("\t")
        if relation == "film.film.directed_by" and tail not in directed.setdefault(head, []):
            directed[head].append(tail)
    for film, first, listed in item.fillna("").to_numpy().tolist():
        want = directed.get(links.get(film, ""), [])
        assert first == (want[0] if want else "")
        assert listed == " ".join(want)


def test_97_percent_of_the_interactions_have_a_director(inter: pd.DataFrame, item: pd.DataFrame) -> None:
    known = item.loc[item["director_id:token"].notna(), "item_id:token"]
    assert round(inter["item_id:token"].isin(known).mean(), 2) == 0.97


def test_it_loads_by_its_name_alone_at_first_use(tmp_path: Path) -> None:
    config = VloggerConfig("VAGNN", NAME, {"data_path": str(tmp_path / "new" / "data")})
    dataset = registry.create_dataset(config)
    assert isinstance(dataset, VloggerDataset)
    train, valid, test = dataset.build()
    assert (train.user_num, train.item_num, train.vlogger_num) == (944, 1683, 1057)
    assert (len(train), len(valid), len(test)) == (100_000 - 2 * 943, 943, 943)
    assert int(np.count_nonzero(train.vlogger_of_item)) == 1590


def _state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in [folder, *folder.iterdir()][1:]}


def test_preparing_again_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, folder_time = _state(folder), folder.stat().st_mtime_ns
    monkeypatch.setattr(ml100k, "creators", lambda *_: pytest.fail("prepared again"))
    prepare_embedded(folder)
    assert prepare("ml-100k", data_path=folder.parent).report is None
    assert _state(folder) == before
    assert folder.stat().st_mtime_ns == folder_time


def test_two_preparations_give_identical_bytes(folder: Path, tmp_path: Path) -> None:
    prepare_embedded(str(tmp_path / NAME))
    for name in ALL_FILES:
        assert (tmp_path / NAME / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("step", ["creators", "read_rows"])
def test_an_interrupted_preparation_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], step: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ml100k, step, fail)
    with pytest.raises(error):
        prepare_embedded(tmp_path / NAME)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path: Path, folder: Path) -> None:
    (tmp_path / NAME).mkdir()
    prepare_embedded(tmp_path / NAME)
    assert (tmp_path / NAME / FILES[1]).read_bytes() == (folder / FILES[1]).read_bytes()


@pytest.mark.parametrize("present", ["notes.txt", FILES[0]])
def test_a_folder_with_other_content_is_refused_and_left_alone(tmp_path: Path, present: str) -> None:
    target = tmp_path / NAME
    target.mkdir()
    (target / present).write_text("mine")
    with pytest.raises(InputError, match=rf"{NAME} exists but lacks .*: remove the folder"):
        prepare_embedded(target)
    assert [(path.name, path.read_text()) for path in target.iterdir()] == [(present, "mine")]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_another_process_that_was_faster_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ml100k.creators

    def slow(source: Path, creator: str) -> pd.DataFrame:
        (tmp_path / NAME).mkdir()
        (tmp_path / NAME / FILES[0]).write_text("theirs")
        return real(source, creator)

    monkeypatch.setattr(ml100k, "creators", slow)
    prepare_embedded(tmp_path / NAME)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME / FILES[0]).read_text() == "theirs"


@pytest.mark.parametrize(
    ("creator", "known", "creators", "several"),
    [
        ("director", 1590, 1056, 93),
        ("producer", 1367, 946, 783),
        ("writer", 1336, 1066, 624),
        ("company", 880, 192, 359),
    ],
)
def test_every_kind_of_creator_is_read_from_its_relation(
    creator: str, known: int, creators: int, several: int
) -> None:  # fmt: skip
    """Counts by ``grep`` and ``sort -u`` on RecBole's files; of several the first in the graph counts."""
    frame = ml100k.creators(source_folder(), creator)
    assert list(frame) == ["item_id", f"{creator}_id", f"{creator}s"]
    first, listed = frame[f"{creator}_id"], frame[f"{creator}s"].dropna().str.split(" ")
    assert (first.notna().sum(), first.nunique(), (listed.map(len) > 1).sum()) == (known, creators, several)
    assert (listed.str[0] == first.dropna()).all()
    relation = RELATIONS[creator]
    tails = {line.split("\t")[2] for line in _graph() if f"\t{relation}\t" in line}
    assert set(first.dropna()) <= tails


def _graph() -> list[str]:
    return (source_folder() / "ml-100k.kg").read_text().splitlines()


def test_each_kind_is_an_embedded_data_set() -> None:
    embedded = {name: where for name, where in registry.EMBEDDED_DATASETS.items() if name.startswith("ml-100k")}
    assert embedded == dict.fromkeys(
        (f"ml-100k-{creator}" for creator in RELATIONS), "recbole_vagnn.prepare.ml100k:prepare_embedded"
    )


def test_another_embedded_data_set_loads_by_its_name_with_its_own_field(tmp_path: Path) -> None:
    config = VloggerConfig("VAGNN", "ml-100k-company", {"data_path": str(tmp_path)})
    dataset = registry.create_dataset(config)
    assert isinstance(dataset, VloggerDataset)
    assert dataset.vlogger_field == "company_id"
    assert (dataset.vlogger_num, int(np.count_nonzero(dataset.vlogger_of_item))) == (193, 880)


def test_an_unknown_kind_of_creator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`creator` is 'actor'; choose one of: director, producer, writer, company"):
        prepare("ml-100k", data_path=tmp_path, options={"creator": "actor"})


def test_ratings_make_positives_and_the_filters_are_those_of_every_source(tmp_path: Path) -> None:
    made = prepare("ml-100k", name="liked", data_path=tmp_path, positive="rating>=4", filters={"user_core": 20})
    inter = pd.read_csv(made.folder / "liked.inter", sep="\t")
    assert inter["rating:float"].min() == 4
    assert inter["user_id:token"].value_counts().min() >= 20
    assert made.report is not None
    assert made.report.loaded.negative == 100_000 - 55_375  # ratings of 4 and 5 as published


@pytest.mark.parametrize("suffix", ["inter", "kg", "link", "item"])
def test_a_change_of_any_file_it_is_made_from_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path, suffix: str
) -> None:
    shutil.copytree(folder, tmp_path / "data" / NAME)
    shutil.copytree(source_folder(), tmp_path / "raw")
    monkeypatch.setattr(run, "load_source", lambda _: replace(ml100k.SOURCE, own_files=lambda: tmp_path / "raw"))
    assert prepare("ml-100k", data_path=tmp_path / "data").report is None
    with (tmp_path / "raw" / f"ml-100k.{suffix}").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match=rf"changed input: ml-100k\.{suffix}\."):
        prepare("ml-100k", data_path=tmp_path / "data")


def test_a_recbole_without_its_example_files_is_reported_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ml100k, "recbole_folder", lambda: tmp_path / "recbole")
    with pytest.raises(InputError, match=r"ml-100k\.inter.* is missing: reinstall RecBole"):
        prepare_embedded(tmp_path / "data" / NAME)
    assert list(tmp_path.iterdir()) == []


def test_altering_held_out_rows_of_the_raw_files_leaves_the_training_side_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raw files before preparation: each user's two newest films are exchanged for others of the catalogue."""
    raw = tmp_path / "raw"
    shutil.copytree(source_folder(), raw)
    sides = []
    for altered in (False, True):
        if altered:
            _exchange_held_out(raw / "ml-100k.inter")
        monkeypatch.setattr(ml100k, "source_folder", lambda: raw)
        data = tmp_path / f"data{altered}"
        prepare_embedded(data / NAME)
        config = VloggerConfig("VAGNN", NAME, {"data_path": str(data)})
        train, _, test = VloggerDataset(config).build()
        sides.append((_training_side(train), split_hash(test)))
    assert sides[0][0] == sides[1][0]
    assert sides[0][1] != sides[1][1]


def _exchange_held_out(inter: Path) -> None:
    """Give each user two films the user has not rated for the two newest ones (file order decides ties)."""
    frame = pd.read_csv(inter, sep="\t", dtype=str)
    user, item, _, time = frame.columns
    order = frame.assign(time=frame[time].astype(int)).sort_values("time", kind="stable")
    newest = order.groupby(user, sort=False).tail(2).index
    rated = frame.groupby(user)[item].agg(set)
    films = sorted(frame[item].unique())
    spare = {name: iter([film for film in films if film not in known]) for name, known in rated.items()}
    frame.loc[newest, item] = [next(spare[name]) for name in frame.loc[newest, user]]
    frame.to_csv(inter, sep="\t", index=False)


def _training_side(train: VloggerDataset) -> tuple[object, ...]:
    """Training pairs, creators of the trained items, S, walks and auxiliary pairs, in original ids."""
    users, items = train.field2id_token["user_id"], train.field2id_token["item_id"]
    vloggers = train.field2id_token["director_id"]
    graph = TripartiteGraph.from_dataset(train)
    pairs = sorted((users[u], items[i]) for u, i in zip(*graph.user_video.nonzero(), strict=True))
    counts = graph.user_vlogger.tocoo()
    seen = sorted((users[u], vloggers[p], n) for u, p, n in zip(counts.row, counts.col, counts.data, strict=True))
    followed = sorted(
        (users[u], vloggers[p]) for u, p in zip(*graph.auxiliary_pairs(train, "auto").nonzero(), strict=True)
    )
    return pairs, seen, followed
