"""``recbole-vagnn tune``: arguments to plan and budget."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from recbole_vagnn.cli_benchmark import _CPUS, _GPUS
from recbole_vagnn.cli_prepare import INTERRUPTED

_PLANS = {"all": "full", "full": "full", "paper": "paper", "strong": "strong"}
_HOUR = 3600.0


@click.command()
@click.option(
    "--model",
    "-m",
    required=True,
    help="Models or labels of plans, separated by commas; or full, paper, strong.",
)
@click.option("--dataset", "-d", default="ml-100k-director", show_default=True, help="Data sets, separated by commas.")
@click.option(
    "--trials", type=click.IntRange(1), default=20, show_default=True, help="Configurations tried of each model."
)
@click.option("--epochs", type=click.IntRange(1), help="Most epochs of a trial, the same for all [default: 300].")
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="Most wall time of each search.")
@click.option(
    "--patience", type=click.IntRange(0), help="Evaluations without improvement that end a trial [default: 30]."
)
@click.option(
    "--search",
    type=click.Choice(("optuna", "random", "grid")),
    default="optuna",
    show_default=True,
    help="How points are chosen: TPE, at random, or all of them.",
)
@click.option("--space", type=click.Path(dir_okay=False), help="Search space, ours (YAML) or RecBole's (hyper.test).")
@click.option("--metric", help="Validation metric, e.g. NDCG@10 [default: Recall@10].")
@click.option("--seed", type=click.IntRange(0), default=2020, show_default=True, help="Of the search and its trials.")
@click.option(
    "--grace", type=click.IntRange(10), default=10, show_default=True, help="Evaluations before early stopping."
)
@click.option(
    "--reduction-factor", type=float, default=3, show_default=True, help="One of so many trials outlives each rung."
)
@click.option(
    "--final-seeds",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Runs of each winner, which read the test data; 0 = none.",
)
@click.option("--set", "options", multiple=True, metavar="KEY=VALUE", help="Option of every run; may be repeated.")
@click.option("--out", type=click.Path(file_okay=False), default="tuned", show_default=True, help="Folder of results.")
@click.option("--data_path", "--data-path", default="dataset", show_default=True, help="Folder of data sets.")
@click.option("--resume", is_flag=True, help="Go on with the searches that are in --out.")
@click.option("--ray-address", help="Address of a running Ray cluster, e.g. auto.")
@click.option("--cpus-per-trial", type=_CPUS, default=1, show_default=True, help="CPUs of a trial; so many threads.")
@click.option("--gpus-per-trial", type=_GPUS, default=0, show_default=True, help="GPUs of a trial, may be a fraction.")
@click.option("--max-concurrent", type=click.IntRange(1), help="Trials at once; 1 = the same trials with every start.")
def tune(**given: Any) -> None:
    """Search hyper-parameters by validation scores; only each winner reads the test data, after its search.

    Every model gets the same budget. Bad trials are stopped early, killed ones go on from their checkpoints, and a
    killed search goes on with --resume. Writes best.yaml (for --config_files), tables, figures and a report to --out.
    """
    from recbole_vagnn.errors import InputError
    from recbole_vagnn.experiments.tuning.tune import tune as run_tune

    try:
        outcome = run_tune(_tuning(given), resume=given["resume"], address=given["ray_address"])
    except InputError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        again = [argument for argument in sys.argv[1:] if argument != "--resume"]
        command = shlex.join(["recbole-vagnn", *again, "--resume"])
        click.echo(f"\nInterrupted. Nothing is lost; go on with: {command}", err=True)
        sys.exit(INTERRUPTED)
    for file in outcome.files:
        click.echo(str(file))
    if outcome.failures:
        raise click.ClickException("\n".join([f"{len(outcome.failures)} failed:", *outcome.failures]))


def _tuning(given: dict[str, Any]) -> Any:
    from recbole_vagnn.experiments.plan import seeds
    from recbole_vagnn.experiments.tuning.budget import Budget
    from recbole_vagnn.experiments.tuning.search import Resources
    from recbole_vagnn.experiments.tuning.tune import Tuning

    hours = given["hours"]
    budget = Budget(
        trials=given["trials"],
        seconds=None if hours is None else hours * _HOUR,
        search=given["search"],
        seed=given["seed"],
        grace=given["grace"],
        reduction=given["reduction_factor"],
        max_concurrent=given["max_concurrent"],
    )
    return Tuning(
        plan=_plan(given),
        folder=Path(given["out"]).expanduser().resolve(),
        budget=budget,
        data_path=Path(given["data_path"]).expanduser().resolve(),
        resources=Resources(given["cpus_per_trial"], given["gpus_per_trial"]),
        space=Path(given["space"]).expanduser() if given["space"] else None,
        final_seeds=seeds(given["final_seeds"]) if given["final_seeds"] else (),
    )


def _plan(given: dict[str, Any]) -> Any:
    """The contestants with the options of the command line."""
    from recbole_vagnn.cli import parse_arguments
    from recbole_vagnn.errors import InputError
    from recbole_vagnn.experiments.plan import Contestant, read_plan, with_changes

    options = parse_arguments([f"--{text}" for text in given["options"]])
    for flag, key in (("epochs", "epochs"), ("patience", "stopping_step"), ("metric", "valid_metric")):
        if given[flag] is None:
            continue
        if key in options:
            raise InputError(f"--{flag} and --set {key}=… are given: leave one out.")
        options[key] = given[flag]
    names, datasets = _split(given["model"], "--model"), _split(given["dataset"], "--dataset")
    named = _PLANS.get(names[0]) if len(names) == 1 else None
    plan = read_plan(named or "full")
    known = {c.label: c for shipped in ("strong", "full") for c in read_plan(shipped).contestants}
    chosen = plan.contestants if named else tuple(known.get(name, Contestant(name, name)) for name in names)
    if given["space"] and len(chosen) > 1:
        raise InputError(f"--space is for one model, but {len(chosen)} are to be tuned. Tune them one after the other.")
    return with_changes(plan, contestants=chosen, datasets=datasets, options=options)


def _split(text: str, flag: str) -> tuple[str, ...]:
    from recbole_vagnn.errors import InputError

    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not parts:
        raise InputError(f"{flag} names nothing.")
    return parts
