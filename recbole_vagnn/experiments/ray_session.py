"""A connection to Ray, and whether what a run asks for is there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.events import one_line


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Ray while the block runs; one that is there already is used and left running.

    Args:
        address: of a running cluster; None starts Ray on this machine.

    Raises:
        InputError: the cluster does not answer.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        with _without_notice(address):
            ray.init(address=address, include_dashboard=False, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"Ray cannot be reached at {address or 'this machine'}: {one_line(error)}") from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _without_notice(address: str | None) -> Iterator[None]:
    """Ray notes that the cluster it starts here has a token, which is as it should be; other warnings are kept."""
    notice = logging.getLogger("ray._private.authentication.authentication_token_setup")
    level = notice.level
    if address is None:
        notice.setLevel(logging.ERROR)
    try:
        yield
    finally:
        notice.setLevel(level)


def alive_nodes() -> list[dict[str, Any]]:
    """Ray's description of each machine of the cluster."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def check_resources(cpus: float, gpus: float, unit: str = "run") -> None:
    """A run must fit into one machine.

    Args:
        cpus, gpus: what it asks for.
        unit: what it is called, in the message and in the options ``--cpus-per-UNIT`` and ``--gpus-per-UNIT``.

    Raises:
        InputError: no machine has as much, or it is a fraction above 1.
    """
    most: dict[str, float] = {"CPU": 0.0, "GPU": 0.0}
    for node in alive_nodes():
        for name in most:
            most[name] = max(most[name], node["Resources"].get(name, 0.0))
    for name, asked in (("CPU", cpus), ("GPU", gpus)):
        option = f"--{name.lower()}s-per-{unit}"
        if asked > 1 and asked != int(asked):
            raise InputError(f"{option} is {asked:g}; above 1 it must be a whole number.")
        if asked > most[name]:
            raise InputError(
                f"A {unit} asks for {asked:g} {name}(s), but no machine of the cluster has more than {most[name]:g}. "
                f"Lower {option}."
            )
