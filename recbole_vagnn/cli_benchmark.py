"""``recbole-vagnn benchmark``: arguments to plan and scheduler."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import click

from recbole_vagnn.cli_prepare import INTERRUPTED

_CPUS, _GPUS = click.FloatRange(0, min_open=True), click.FloatRange(0)


@click.command()
@click.argument("plan", default="paper")
@click.option("--models", help="Models or labels of the plan, separated by commas.")
@click.option("--datasets", help="Data sets, separated by commas.")
@click.option("--seeds", type=click.IntRange(1), help="Number of seeds, counted from 2020.")
@click.option("--epochs", type=click.IntRange(1), help="Most epochs, the same for all.")
@click.option("--set", "options", multiple=True, metavar="KEY=VALUE", help="Option of every run; may be repeated.")
@click.option("--ours", help="Labels whose gain over the best rival is reported, separated by commas.")
@click.option(
    "--tuned", type=click.Path(exists=True, file_okay=False), help="Folder of tuned options (DATASET/LABEL.yaml)."
)
@click.option("--out", type=click.Path(file_okay=False), help="Folder of results [default: results/PLAN].")
@click.option("--data_path", "--data-path", default="dataset", show_default=True, help="Folder of data sets.")
@click.option("--resume", is_flag=True, help="Go on with the runs that are in --out.")
@click.option("--serial", is_flag=True, help="One run after the other, without Ray.")
@click.option("--processes", type=click.IntRange(1), help="So many runs at once on this machine, without Ray.")
@click.option("--ray-address", help="Address of a running Ray cluster, e.g. auto.")
@click.option(
    "--cpus-per-run",
    type=_CPUS,
    default=1,
    show_default=True,
    help="CPUs of a run; so many torch threads.",
)
@click.option("--gpus-per-run", type=_GPUS, default=0, show_default=True, help="GPUs of a run, may be a fraction.")
def benchmark(plan: str, out: str | None, data_path: str, resume: bool, **given: Any) -> None:
    """Run PLAN (paper, full, strong or a YAML file): every model on every data set, under one protocol.

    Writes tables, significance tests, figures and a report that can be mailed to --out. Finished runs are kept when it
    is killed; --resume goes on.
    """
    from recbole_vagnn.errors import InputError
    from recbole_vagnn.experiments.benchmark import benchmark as run_benchmark

    command = shlex.join(["recbole-vagnn", *sys.argv[1:]])
    folder = out or f"results/{Path(plan).stem}"
    try:
        chosen = _plan(plan, given)
        outcome = run_benchmark(chosen, folder, scheduler(given), data_path=data_path, resume=resume, command=command)
    except InputError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo(f"\nInterrupted. Finished runs are in {folder}; go on with --resume.", err=True)
        sys.exit(INTERRUPTED)
    tell(outcome)


def tell(outcome: Any) -> None:
    """Name the files of an experiment, and fail if runs did."""
    for file in outcome.files:
        click.echo(str(file))
    if outcome.failures:
        where = "the report names them" if outcome.files else "no run finished, so there is no report"
        raise click.ClickException(f"{len(outcome.failures)} run(s) failed; {where}.")


def _plan(name: str, given: dict[str, Any]) -> Any:
    """The plan with the changes of the command line."""
    from recbole_vagnn.experiments.plan import Contestant, read_plan, seeds, with_changes

    plan = read_plan(name)
    known = {contestant.label: contestant for contestant in plan.contestants}
    labels = split(given["models"])
    return with_changes(
        plan,
        contestants=tuple(known.get(label, Contestant(label, label)) for label in labels)
        if labels is not None
        else None,
        datasets=split(given["datasets"]),
        seeds=seeds(given["seeds"]) if given["seeds"] is not None else None,
        options=options_of_runs(given),
        ours=split(given["ours"]),
        tuned=Path(given["tuned"]) if given["tuned"] else None,
    )


def options_of_runs(given: dict[str, Any]) -> dict[str, Any]:
    """Options of every run: ``--set`` and ``--epochs``."""
    from recbole_vagnn.cli import parse_arguments
    from recbole_vagnn.errors import InputError

    options = parse_arguments([f"--{text}" for text in given["options"]])
    if given["epochs"] is not None:
        if "epochs" in options:
            raise InputError("--epochs and --set epochs=… are given: leave one out.")
        options["epochs"] = given["epochs"]
    return options


def split(text: str | None) -> tuple[str, ...] | None:
    """Words between commas; None stays None."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def scheduler(given: dict[str, Any]) -> Any:
    """What runs jobs: ``serial``, ``processes``, ``ray_address``, ``cpus_per_run`` and ``gpus_per_run`` say it."""
    from recbole_vagnn.errors import InputError

    cpus, gpus, address = given["cpus_per_run"], given["gpus_per_run"], given["ray_address"]
    serial, processes = given["serial"], given["processes"]
    if not serial and processes is None:
        from recbole_vagnn.experiments.cluster import run_on_ray

        return partial(run_on_ray, address=address, cpus=cpus, gpus=gpus)
    if serial and processes is not None:
        raise InputError("--serial is one run at a time: leave it or --processes out.")
    if address is not None:
        way = "--serial" if serial else "--processes"
        raise InputError(f"{way} runs without Ray: leave --ray-address out.")
    from recbole_vagnn.experiments.serial import run_serially

    def schedule(jobs: Iterable[Any], data_path: str, listener: Any) -> None:
        run_serially(jobs, data_path, max(1, int(cpus)), listener, processes or 1)

    return schedule
