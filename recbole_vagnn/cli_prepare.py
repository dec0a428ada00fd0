"""``recbole-vagnn prepare SOURCE``: one command a source, its flags read from the source's and the filters' options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any

import click

from recbole_vagnn import registry

if TYPE_CHECKING:
    from recbole_vagnn.prepare.pipeline.source import Source

INTERRUPTED = 130  # exit code of a program that Ctrl-C ended


class PrepareGroup(click.Group):
    """Loads a source when it is asked for; listing them loads all."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(registry.SOURCES)

    def get_command(self, _context: click.Context, name: str) -> click.Command:
        from recbole_vagnn.errors import InputError
        from recbole_vagnn.prepare.pipeline.run import load_source

        try:
            return _command(load_source(name))
        except InputError as error:
            raise click.UsageError(str(error)) from None


def _command(source: Source) -> click.Command:
    from recbole_vagnn.prepare.pipeline.filters import Filters
    from recbole_vagnn.prepare.pipeline.run import MEMORY

    own = [_flag(field) for field in fields(source.options)]  # type: ignore[arg-type]
    defaults = {"positive": source.positive, "follow_from": source.follow_from} | dict(source.defaults)
    common = [_flag(field, defaults.get(field.name)) for field in fields(Filters)]
    parameters: list[click.Parameter] = [
        click.Option(["--name"], help="Name of the data set; the source proposes one."),
        click.Option(["--data_path", "--data-path"], default="dataset", show_default=True, help="Folder of data sets."),
        *own,
        *common,
        click.Option(
            ["--max-malformed"], type=float, default=0.001, show_default=True,
            help="Largest share of a file's rows that may be malformed.",
        ),
        click.Option(["--memory"], default=MEMORY, show_default=True, help="Limit of the database; +1 GB beside it."),
        click.Option(["--threads"], type=click.IntRange(1), help="Threads of the database; default: all cores."),
        click.Option(["--overwrite"], is_flag=True, help="Replace a data set of that name."),
    ]  # fmt: skip
    if source.input is not None:
        parameters.insert(0, click.Option(["--input"], required=True, help=f"The {source.input}."))
    return click.Command(
        source.name,
        params=parameters,
        callback=_callback(source),
        help=f"{source.summary}\n\nWrites DATA_PATH/NAME with NAME.inter, .item, .follow, .yaml and a report.",
        short_help=source.summary,
    )


def _flag(field: Field[Any], default: Any = None) -> click.Option:
    """The flag of an option field (see ``source.option``)."""
    default = field.default if default is None else default
    names, help_text = [f"--{field.name.replace('_', '-')}"], field.metadata["help"]
    if field.metadata["choices"]:
        kind: Any = click.Choice(field.metadata["choices"])
    else:
        kind = str if default is None or isinstance(default, tuple) else type(default)
    if isinstance(default, bool):
        flag = f"{names[0]}/--no-{names[0][2:]}"
        return click.Option([flag], default=default, show_default=True, help=help_text)
    return click.Option(
        names,
        type=kind,
        default=default,
        multiple=isinstance(default, tuple),
        show_default=default not in (None, ()),
        help=help_text,
    )


def _callback(source: Source) -> Callable[..., None]:
    from recbole_vagnn.prepare.pipeline.filters import Filters

    own = [field.name for field in fields(source.options)]  # type: ignore[arg-type]
    common = [field.name for field in fields(Filters)]

    def callback(**given: Any) -> None:
        from recbole_vagnn.errors import InputError
        from recbole_vagnn.prepare.pipeline.run import prepare

        try:
            prepare(
                source.name,
                given.get("input"),
                name=given["name"],
                data_path=given["data_path"],
                options={name: given[name] for name in own},
                filters={name: given[name] for name in common},
                max_malformed=given["max_malformed"],
                memory=given["memory"],
                threads=given["threads"],
                overwrite=given["overwrite"],
                quiet=False,
            )
        except InputError as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            click.echo("\nInterrupted. Nothing was written.", err=True)
            sys.exit(INTERRUPTED)

    return callback
