"""``ml-100k-director``: MovieLens-100K with film directors as creators.

Made from files that RecBole's wheel carries (``recbole/dataset_example/ml-100k``): the interactions, a part of
the Freebase graph, and the link between the two. Nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare.pipeline.whole_folder import whole_folder, write_atomic
from recbole_vagnn.registry import recbole_folder

NAME = "ml-100k-director"
_RELATION = "film.film.directed_by"


def source_folder() -> Path:
    """Folder of the MovieLens files inside the installed RecBole.

    Raises:
        InputError: the installed RecBole lacks them.
    """
    folder = recbole_folder() / "dataset_example" / "ml-100k"
    for suffix in ("inter", "kg", "link"):
        if not (folder / f"ml-100k.{suffix}").is_file():
            raise InputError(
                f"RecBole's example file {folder / f'ml-100k.{suffix}'} is missing: reinstall RecBole with "
                f"`pip install --no-deps --force-reinstall recbole==1.2.1`."
            )
    return folder


def prepare_director(folder: str | Path) -> None:
    """Write ``ml-100k-director`` into ``folder`` unless it is complete already.

    Args:
        folder: ``<data_path>/ml-100k-director``; it appears whole or not at all.

    Raises:
        InputError: RecBole's example files are missing, or the folder exists without our files.
    """
    target = Path(folder)
    files = [target / f"{NAME}.{suffix}" for suffix in ("inter", "item")]
    if all(path.is_file() for path in files):
        return
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target} exists but lacks {files[0].name} or {files[1].name}: remove the folder.")
    source = source_folder()
    with whole_folder(target) as draft:
        inter = pd.read_csv(source / "ml-100k.inter", sep="\t", dtype=str)
        inter.columns = [column.partition(":")[0] for column in inter.columns]
        write_atomic(
            inter,
            draft / files[0].name,
            {"user_id": "token", "item_id": "token", "rating": "float", "timestamp": "float"},
        )
        items = directors(source)
        write_atomic(
            items, draft / files[1].name, {"item_id": "token", "director_id": "token", "directors": "token_seq"}
        )


def directors(source: Path) -> pd.DataFrame:
    """Director of each film.

    Args:
        source: folder of RecBole's ml-100k files.

    Returns:
        One row per film, in order of film number: ``item_id``; ``director_id``, the first director the graph
        names, NaN if none; ``directors``, all of them, separated by spaces.
    """
    graph = pd.read_csv(source / "ml-100k.kg", sep="\t", dtype=str)
    links = pd.read_csv(source / "ml-100k.link", sep="\t", dtype=str)
    films = pd.read_csv(source / "ml-100k.item", sep="\t", dtype=str, usecols=[0], quoting=3)
    graph.columns, links.columns = ["head", "relation", "tail"], ["item_id", "entity"]
    films.columns = ["item_id"]
    directed = graph[graph["relation"] == _RELATION].drop_duplicates(["head", "tail"])
    directed = links.merge(directed, left_on="entity", right_on="head")
    by_film = directed.groupby("item_id", sort=False)["tail"].agg(["first", " ".join])
    by_film.columns = ["director_id", "directors"]
    films = films.merge(by_film, left_on="item_id", right_index=True, how="left")
    return films.sort_values("item_id", key=lambda ids: ids.astype(int), kind="stable")
