"""Whether every machine of a cluster can take part in a search, before the first trial."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from recbole_vagnn import __version__
from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.events import one_line
from recbole_vagnn.experiments.ray_session import alive_nodes

_SECONDS = 60


def check_machines(folder: Path) -> None:
    """Let every machine of the cluster read a token in a folder and write beside it, with our version of the package.

    A single machine needs no such test.

    Args:
        folder: absolute; made if it is missing.

    Raises:
        InputError: a machine does not see the folder, cannot write there, has another version of recbole-vagnn or
            none, or does not answer within a minute.
    """
    nodes = alive_nodes()
    if len(nodes) < 2:
        return
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / f".shared-{secrets.token_hex(4)}"
    token.write_text(token.name)
    try:
        problems = _problems(nodes, token)
    finally:
        token.unlink(missing_ok=True)
    if problems:
        listed = "; ".join(f"{name}: {problem}" for name, problem in sorted(problems.items()))
        raise InputError(
            f"{len(problems)} of {len(nodes)} machines of the cluster cannot take part ({listed}). Each needs "
            f"recbole-vagnn {__version__}, and {folder}, where the search keeps the checkpoints of its trials, must be "
            f"one folder for all of them under this path: give --out a folder on a shared disk, e.g. NFS."
        )


def _problems(nodes: list[dict[str, Any]], token: Path) -> dict[str, str]:
    """Machine → what keeps it from taking part; only those with a problem."""
    import ray

    answers = {_on(node).remote(str(token), __version__): node for node in nodes}
    done, late = ray.wait(list(answers), num_returns=len(answers), timeout=_SECONDS)
    outcomes = {**dict.fromkeys(late, "does not answer"), **{answer: _outcome(answer) for answer in done}}
    return {_name(answers[answer]): problem for answer, problem in outcomes.items() if problem}


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})"


def _on(node: dict[str, Any]) -> Any:
    """A task for one machine alone, whatever else it does."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    strategy = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
    return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=strategy)(_problem)


def _problem(token: str, version: str) -> str:
    """Body of a task: what keeps this machine from taking part; empty if nothing does."""
    if version != __version__:
        return f"has recbole-vagnn {__version__}"
    path = Path(token)
    try:
        if path.read_text() != path.name:
            return "reads something else in the folder"
        beside = path.with_name(f"{path.name}-{secrets.token_hex(4)}")
        beside.touch()
        beside.unlink()
    except OSError as error:
        return f"{error.strerror or type(error).__name__} in the folder"
    return ""


def _outcome(answer: Any) -> str:
    import ray

    try:
        return str(ray.get(answer))
    except ray.exceptions.RayError as error:  # e.g. the package is not installed
        return one_line(error)
