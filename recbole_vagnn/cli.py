"""The commands; each only reads its arguments and calls the function that does the work."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from recbole_vagnn import __version__, registry
from recbole_vagnn.cli_benchmark import benchmark
from recbole_vagnn.cli_prepare import INTERRUPTED, PrepareGroup
from recbole_vagnn.cli_serving import export, recommend
from recbole_vagnn.cli_study import study
from recbole_vagnn.cli_tune import tune
from recbole_vagnn.defaults import variants
from recbole_vagnn.errors import InputError


def _mends_shown(function: Callable[..., Any]) -> Callable[..., Any]:
    """Print a user's mistake as one message instead of a traceback."""

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except InputError as error:
            raise click.ClickException(str(error)) from None

    return wrapped


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="recbole-vagnn")
def main() -> None:
    """Creator-aware recommendation for RecBole: VA-GNN and its rivals under one protocol."""


@main.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "help_option_names": ["-h", "--help"],
    }
)
@click.option("--model", "-m", help="Model: VAGNN (default) or a general recommender of RecBole.")
@click.option("--dataset", "-d", help="Data set, a folder in data_path (default: ml-100k-director).")
@click.option("--config_files", help="YAML files of options, separated by spaces; later ones win.")
@click.option("--result_file", type=click.Path(dir_okay=False), help="Write the result as JSON to this file.")
@click.option("--resume", type=click.Path(), help="Go on with a killed run: its .pth or .last file.")
@click.option("--no-pth", is_flag=True, help="Keep the checkpoint folder alone, without RecBole's .pth (a pickle).")
@click.option("--nproc", type=int, default=1, help="Processes that share each batch, one for each GPU (default: 1).")
@click.option("--ip", default="localhost", help="With several machines: address of the one with --group_offset=0.")
@click.option("--port", type=int, help="With several machines: its port (default: 5678).")
@click.option("--world_size", type=int, default=-1, help="Processes on all machines (default: --nproc).")
@click.option("--group_offset", type=int, default=0, help="Processes on the machines before this one.")
@click.pass_context
@_mends_shown
def run(
    context: click.Context,
    model: str | None,
    dataset: str | None,
    config_files: str | None,
    result_file: str | None,
    resume: str | None,
    no_pth: bool,
    nproc: int,
    ip: str,
    port: int | None,
    world_size: int,
    group_offset: int,
) -> None:
    """Train a model and evaluate it once on test data.

    Any option of RecBole or of the model can be given as --key=value, e.g. --n_layers=3 --topk=[10,20];
    `recbole-vagnn options MODEL` lists them.
    """
    try:
        options = parse_arguments([*context.args, *(["--keep_pth=False"] if no_pth else [])])
        request: dict[str, Any] = {"model": model, "dataset": dataset, "options": options}
        request |= {"config_files": (config_files or "").split(), "resume": resume, "result_file": result_file}
        if (nproc, group_offset) == (1, 0) and world_size in (-1, 1):
            from recbole_vagnn.runner import run as run_experiment

            run_experiment(**request)
        else:
            places = {"nproc": nproc, "world_size": world_size, "group_offset": group_offset, "ip": ip, "port": port}
            _run_in_processes(request, places)
    except KeyboardInterrupt as stop:  # the runner's Interrupted, or Ctrl-C before there was anything to keep
        checkpoint, last_state = getattr(stop, "checkpoint", None), getattr(stop, "last_state", None)
        kept = f"Best checkpoint so far: {checkpoint}." if checkpoint else "No epoch was evaluated yet."
        further = f"\nGo on with: --resume={last_state}" if last_state else ""
        click.echo(f"\nInterrupted. {kept}{further}", err=True)
        sys.exit(INTERRUPTED)


def _run_in_processes(request: dict[str, Any], places: dict[str, Any]) -> None:
    """Train in several processes and say where the result is, if it is not here."""
    from recbole_vagnn.distributed.launch import RankFailed, run_in_processes

    try:
        if run_in_processes(**request, **places) is None:
            click.echo("Done; the machine with --group_offset=0 reports.")
    except RankFailed as failure:
        raise click.ClickException(str(failure)) from None


def parse_arguments(arguments: list[str]) -> dict[str, Any]:
    """``--key=value`` and ``--key value`` pairs as typed options.

    Raises:
        InputError: an argument without ``--``, a key without a value, or one key with two values.
    """
    from recbole_vagnn.config import parse_option

    options: dict[str, Any] = {}
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if not argument.startswith("--") or len(argument) == 2:
            raise InputError(f"Argument {argument!r} is not understood: write options as --key=value.")
        key, equals, text = argument[2:].partition("=")
        if not equals:
            if not waiting or waiting[0].startswith("--"):
                raise InputError(f"--{key} has no value: write --{key}=value.")
            text = waiting.pop(0)
        value = parse_option(key, text)
        if key in options and options[key] != value:
            raise InputError(f"--{key} is given twice, as {options[key]!r} and {value!r}.")
        options[key] = value
    return options


@main.command()
@click.argument("model")
@click.option("--dataset", "-d", default="ml-100k-director", help="Data set whose options are read too.")
@click.option("--data_path", "--data-path", default="dataset", show_default=True, help="Folder of data sets.")
@_mends_shown
def options(model: str, dataset: str, data_path: str) -> None:
    """List every option of MODEL with its default."""
    from recbole_vagnn.config import VloggerConfig, known_keys

    config = VloggerConfig(model, dataset, {"data_path": data_path})
    for key in sorted(known_keys(model, dataset), key=str.lower):
        default = config[key]
        click.echo(f"{key} = {json.dumps(default, default=str, ensure_ascii=False)}")
    named = variants(model)
    if named:
        click.echo(f"\nvariants (--variant=NAME): {', '.join(named)}")


@main.command()
def models() -> None:
    """List the models that run side by side: ours and RecBole's general recommenders."""
    for name in registry.known_models():
        click.echo(f"{name}{'  (ours)' if name in registry.MODELS else ''}")


@main.command(cls=PrepareGroup)
def prepare() -> None:
    """Turn somebody's files into a RecBole data set: `prepare SOURCE --help` shows a source's options."""


main.add_command(benchmark)
main.add_command(export)
main.add_command(recommend)
main.add_command(study)
main.add_command(tune)
