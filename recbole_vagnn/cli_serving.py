"""``recbole-vagnn recommend`` and ``recbole-vagnn export``: a checkpoint put to use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from recbole_vagnn.cli_prepare import INTERRUPTED

_CHECKPOINT = click.option(
    "--checkpoint", "-c", required=True, type=click.Path(), help="Folder that a run wrote, or the .pth beside it."
)


@contextmanager
def _told(nothing_written: str) -> Iterator[None]:
    """A user's mistake as one message, Ctrl-C as a line."""
    from recbole_vagnn.errors import InputError

    try:
        yield
    except InputError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo(f"\nInterrupted. {nothing_written}", err=True)
        sys.exit(INTERRUPTED)


@click.command()
@_CHECKPOINT
@click.option("--users", help="Original ids, separated by commas.")
@click.option("--users-file", type=click.Path(), help="File with one original id a line.")
@click.option("--all", "everyone", is_flag=True, help="Every user of the checkpoint.")
@click.option("--topk", "-k", type=click.IntRange(1), default=10, show_default=True, help="Length of each list.")
@click.option(
    "--what", type=click.Choice(["videos", "vloggers"]), default="videos", show_default=True, help="What to recommend."
)
@click.option(
    "--exclude-seen",
    type=click.Choice(["all", "history", "none"]),
    is_flag=False,
    flag_value="all",
    default="all",
    show_default=True,
    help="Leave out what a user has seen: in all data; without the test split, as in evaluation; nothing.",
)
@click.option("--candidates", type=click.Path(), help="File with one original id a line: nothing else is recommended.")
@click.option("--explain", is_flag=True, help="Add what came from the video, its vlogger, and the user's history.")
@click.option(
    "--format", "form", type=click.Choice(["csv", "parquet", "json"]), default="csv", show_default=True, help="Output."
)
@click.option("--out", "-o", type=click.Path(dir_okay=False), help="Output file [default: standard output].")
@click.option("--data_path", "--data-path", help="Folder of data sets, for models that rank by no inner product.")
def recommend(**given: Any) -> None:
    """Recommend videos or vloggers to users.

    Prints or writes original ids and scores. Users that the model never saw get the most popular ones, and the column
    `source` says so.
    """
    with _told("Nothing was written." if given["out"] else "The output is incomplete."):
        _recommend(given)


def _recommend(given: dict[str, Any]) -> None:
    from recbole_vagnn.serving.output import open_writer
    from recbole_vagnn.serving.recommender import load
    from recbole_vagnn.serving.recommending import KINDS
    from recbole_vagnn.serving.tables import schema

    users = _users(given)
    candidates = None if given["candidates"] is None else _read_ids(given["candidates"])
    recommender = load(given["checkpoint"], given["data_path"])
    total = len(recommender.checkpoint.users) if users is None else len(users)
    out = None if given["out"] is None else Path(given["out"])
    columns = schema(KINDS[given["what"]], given["explain"])
    with _progress(total, "users") as tell:
        tables = recommender.tables(
            users,
            given["topk"],
            what=given["what"],
            exclude_seen=given["exclude_seen"],
            candidates=candidates,
            explain=given["explain"],
            progress=tell,
        )
        with open_writer(out, given["form"], columns) as writer:
            for table in tables:
                writer.write(table)
    if out is not None:
        click.echo(f"{out}: recommendations for {total:,} users", err=True)


def _users(given: dict[str, Any]) -> list[str] | None:
    """Ids of the users asked for; None = all."""
    from recbole_vagnn.errors import InputError

    asked = [given["users"] is not None, given["users_file"] is not None, given["everyone"]]
    if sum(asked) != 1:
        raise InputError("Say for whom: one of --users a,b, --users-file FILE and --all.")
    if given["everyone"]:
        return None
    if given["users_file"] is not None:
        return _read_ids(given["users_file"])
    users = _once(part.strip() for part in given["users"].split(","))
    if not users:
        raise InputError("--users names nobody: give original ids, separated by commas.")
    return users


def _read_ids(path: str) -> list[str]:
    """The lines of a file, empty ones left out."""
    from recbole_vagnn.errors import InputError

    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text with one id a line ({error}).") from None
    ids = _once(lines)
    if not ids:
        raise InputError(f"{path} has no ids: write one a line.")
    return ids


def _once(ids: Iterable[str]) -> list[str]:
    """Ids in their order, repeats and empty ones left out."""
    return list(dict.fromkeys(token for token in ids if token))


@click.command()
@_CHECKPOINT
@click.option("--out", "-o", required=True, type=click.Path(file_okay=False), help="Folder to be made.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier export.")
def export(checkpoint: str, out: str, overwrite: bool) -> None:
    """Write the vectors of users, videos and vloggers, whose inner products are the scores.

    Each as .npy with a file of ids, and as Parquet; docs/serving.md shows how to load them into vector indexes.
    """
    with _told("Nothing was written."):
        from recbole_vagnn.serving.checkpoint import read_checkpoint
        from recbole_vagnn.serving.export import export_vectors, number_of_rows

        found = read_checkpoint(checkpoint)
        with _progress(number_of_rows(found), "vectors") as tell:
            files = export_vectors(found, Path(out), overwrite=overwrite, progress=tell)
        for file in files:
            click.echo(str(file))


@contextmanager
def _progress(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A bar on the error stream, if that is a terminal; gives a function that takes how many are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(unit, total=total)
        yield lambda done: progress.update(task, completed=done)
