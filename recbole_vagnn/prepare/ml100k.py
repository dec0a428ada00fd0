"""``ml-100k``: MovieLens-100K with a film's director, producer, writer or company as its creator.

Made from files that RecBole's wheel carries (``recbole/dataset_example/ml-100k``): the interactions, a part of
the Freebase graph, and the link between the two (Zhao et al., KB4Rec, Data Intelligence 2019). Nothing is
downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from recbole_vagnn.errors import InputError
from recbole_vagnn.options import Options
from recbole_vagnn.prepare.pipeline.reader import Column, read_rows
from recbole_vagnn.prepare.pipeline.run import prepare
from recbole_vagnn.prepare.pipeline.source import Items, Log, RawData, Request, Source, option
from recbole_vagnn.registry import recbole_folder

# creator → relation of the graph, from the film
RELATIONS = {
    "director": "film.film.directed_by",
    "producer": "film.film.produced_by",
    "writer": "film.film.written_by",
    "company": "film.film.production_companies",
}


@dataclass(frozen=True)
class Ml100kOptions(Options):
    """Options of the source.

    Attributes:
        creator: who counts as a film's creator.
    """

    creator: str = option("director", "Who counts as a film's creator.", choices=tuple(RELATIONS))

    def __post_init__(self) -> None:
        self.require_choice("creator", tuple(RELATIONS))


def source_folder() -> Path:
    """Folder of the MovieLens files inside the installed RecBole.

    Raises:
        InputError: the installed RecBole lacks them.
    """
    folder = recbole_folder() / "dataset_example" / "ml-100k"
    for suffix in ("inter", "kg", "link", "item"):
        if not (folder / f"ml-100k.{suffix}").is_file():
            raise InputError(
                f"RecBole's example file {folder / f'ml-100k.{suffix}'} is missing: reinstall RecBole with "
                f"`pip install --no-deps --force-reinstall recbole==1.2.1`."
            )
    return folder


def creators(folder: Path, creator: str) -> pd.DataFrame:
    """Creators of each film.

    Args:
        folder: folder of RecBole's ml-100k files.
        creator: a key of ``RELATIONS``.

    Returns:
        One row per film, in order of film number: ``item_id``; ``<creator>_id``, the first one the graph names, NaN
        if none; ``<creator>s``, all of them, separated by spaces.
    """
    graph = pd.read_csv(folder / "ml-100k.kg", sep="\t", dtype=str)
    links = pd.read_csv(folder / "ml-100k.link", sep="\t", dtype=str)
    films = pd.read_csv(folder / "ml-100k.item", sep="\t", dtype=str, usecols=[0], quoting=3)
    graph.columns, links.columns = ["head", "relation", "tail"], ["item_id", "entity"]
    films.columns = ["item_id"]
    edges = graph[graph["relation"] == RELATIONS[creator]].drop_duplicates(["head", "tail"])
    edges = links.merge(edges, left_on="entity", right_on="head")
    by_film = edges.groupby("item_id", sort=False)["tail"].agg(["first", " ".join])
    by_film.columns = [f"{creator}_id", f"{creator}s"]
    films = films.merge(by_film, left_on="item_id", right_index=True, how="left")
    return films.sort_values("item_id", key=lambda ids: ids.astype(int), kind="stable")


def _read(request: Request) -> RawData:
    folder, creator = source_folder(), request.options.creator
    columns = {
        "user_id:token": Column("token"),
        "item_id:token": Column("token"),
        "rating:float": Column("int"),
        "timestamp:float": Column("int"),
    }
    rows = read_rows(request, [folder / "ml-100k.inter"], columns, delimiter="\t")
    names = [name.partition(":")[0] for name in columns]
    for suffix in ("kg", "link", "item"):
        request.touch(path := folder / f"ml-100k.{suffix}")
        request.advance(path.stat().st_size)
    films = pa.RecordBatch.from_pandas(creators(folder, creator), preserve_index=False)
    log = Log(
        (batch.rename_columns(names) for batch in rows),
        "user_id",
        "item_id",
        "timestamp",
        signals={"rating": "log.rating"},
        time_unit="s",
        keep={"rating": "float"},
    )
    items = Items([films], "item_id", f"{creator}_id", keep={f"{creator}s": "token_seq"})
    # The set is small: with larger batches and smaller steps an epoch hardly moves the weights.
    settings = {"train_batch_size": 2048, "learning_rate": 0.005}
    return RawData(log, items, settings=settings, vlogger_field=f"{creator}_id")


SOURCE = Source(
    name="ml-100k",
    summary="MovieLens-100K from RecBole's own files, with a creator from the Freebase graph beside it.",
    input=None,
    options=Ml100kOptions,
    read=_read,
    dataset_name=lambda _path, options: f"ml-100k-{options.creator}",
    own_files=source_folder,
)


def prepare_embedded(folder: str | Path) -> None:
    """Write ``ml-100k-<creator>`` into ``folder``, whose name says which, unless it is complete already.

    Args:
        folder: ``<data_path>/ml-100k-<creator>``; it appears whole or not at all.

    Raises:
        InputError: RecBole's example files are missing, or the folder exists without our files.
    """
    target = Path(folder)
    name = target.name
    if all((target / f"{name}.{suffix}").is_file() for suffix in ("inter", "item")):
        return
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target} exists but lacks {name}.inter or {name}.item: remove the folder.")
    prepare("ml-100k", name=name, data_path=target.parent, options={"creator": name.rpartition("-")[2]})
