"""``recbole-vagnn study``: arguments to a study's request and scheduler."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from recbole_vagnn.cli_benchmark import _CPUS, _GPUS, options_of_runs, scheduler, split, tell
from recbole_vagnn.cli_prepare import INTERRUPTED


class _StudyCommand(click.Command):
    """Lists the studies in its help, when it is asked for."""

    def format_help_text(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        from recbole_vagnn.experiments.studies.study import STUDIES

        super().format_help_text(context, formatter)
        with formatter.section("Studies"):
            formatter.write_dl([(name, question) for name, (_, question) in STUDIES.items()])


@click.command(cls=_StudyCommand)
@click.argument("name")
@click.option("--datasets", help="Data sets, separated by commas.")
@click.option("--seeds", type=click.IntRange(1), help="Number of seeds, counted from 2020.")
@click.option("--epochs", type=click.IntRange(1), help="Most epochs, the same for all.")
@click.option("--set", "options", multiple=True, metavar="KEY=VALUE", help="Option of every run; may be repeated.")
@click.option(
    "--with",
    "entries",
    multiple=True,
    metavar="KEY=VALUE",
    help="Entry of properties/study/NAME.yaml; may be repeated.",
)
@click.option(
    "--tuned", type=click.Path(exists=True, file_okay=False), help="Folder of tuned options (DATASET/LABEL.yaml)."
)
@click.option("--out", type=click.Path(file_okay=False), help="Folder of results [default: results/study-NAME].")
@click.option("--data_path", "--data-path", default="dataset", show_default=True, help="Folder of data sets.")
@click.option("--dry-run", is_flag=True, help="Say how many runs there are and what they cost, and stop.")
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="Refuse a study that may need more CPU hours.")
@click.option("--resume", is_flag=True, help="Go on with the runs that are in --out.")
@click.option("--serial", is_flag=True, help="One run after the other, without Ray.")
@click.option("--processes", type=click.IntRange(1), help="So many runs at once on this machine, without Ray.")
@click.option("--ray-address", help="Address of a running Ray cluster, e.g. auto.")
@click.option("--cpus-per-run", type=_CPUS, default=1, show_default=True, help="CPUs of a run; so many torch threads.")
@click.option("--gpus-per-run", type=_GPUS, default=0, show_default=True, help="GPUs of a run, may be a fraction.")
def study(
    name: str, out: str | None, data_path: str, resume: bool, dry_run: bool, hours: float | None, **given: Any
) -> None:
    """Run study NAME: an experiment that answers one question.

    Says beforehand how many runs it makes and what they cost. Writes CSV, figures and a report that can be mailed to
    --out. Finished runs are kept when it is killed; --resume goes on.
    """
    from recbole_vagnn.errors import InputError
    from recbole_vagnn.experiments.studies.cost import time_epoch
    from recbole_vagnn.experiments.studies.run import run_study

    folder = out or f"results/study-{name}"
    threads = max(1, int(given["cpus_per_run"]))
    absolute = str(Path(data_path).expanduser().resolve())
    try:
        outcome = run_study(
            name,
            folder,
            scheduler(given),
            partial(time_epoch, data_path=absolute, threads=threads),
            _asked(given),
            data_path=absolute,
            resume=resume,
            dry_run=dry_run,
            hours=hours,
            threads=threads,
            command=shlex.join(["recbole-vagnn", *sys.argv[1:]]),
        )
    except InputError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo(f"\nInterrupted. Finished runs are in {folder}; go on with --resume.", err=True)
        sys.exit(INTERRUPTED)
    tell(outcome)


def _asked(given: dict[str, Any]) -> Any:
    """Changes of the study's file."""
    from recbole_vagnn.cli import parse_arguments
    from recbole_vagnn.experiments.studies.run import Asked

    return Asked(
        datasets=split(given["datasets"]),
        seeds=given["seeds"],
        options=options_of_runs(given),
        entries=parse_arguments([f"--{text}" for text in given["entries"]]),
        tuned=Path(given["tuned"]) if given["tuned"] else None,
    )
