"""A cluster of two machines, both of them this one: a search over both, a machine that dies, storage not shared.

Each says that it has two GPUs; trials that compute on the CPU show which of them Ray gives to whom.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.tuning.experiment import run_search
from recbole_vagnn.experiments.tuning.journal import Journal
from recbole_vagnn.experiments.tuning.machines import check_machines
from recbole_vagnn.experiments.tuning.search import Resources
from tests.experiments.tuning.toy_search import WaitingRequest, curve, data_of, quiet_console, toy_search
from tests.runs import write_toy

MEMORY = 80 * 2**20
EPOCHS = 10  # as many as the grace, so that no trial is stopped early
# Ray gives a silent machine half a minute; here it is to be given up at once.
HASTY = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 300, "health_check_failure_threshold": 3}


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[Cluster, Any, Path]]:
    """A cluster, its second machine, and a folder; the second one was started in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="rv", dir="/tmp"))
    here = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)  # RecBole sets it; a machine pretends to have more
        machine = {"num_cpus": 1, "num_gpus": 2, "object_store_memory": MEMORY}
        head = {**machine, "include_dashboard": False, "_system_config": HASTY}
        for name in ("first", "second"):
            (folder / name).mkdir()
        os.chdir(folder / "first")
        cluster = Cluster(initialize_head=True, head_node_args=head)
        os.chdir(folder / "second")
        second = cluster.add_node(**machine)
        os.chdir(here)
        ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
        yield cluster, second, folder
        ray.shutdown()
        cluster.shutdown()
    shutil.rmtree(folder)


def test_storage_that_a_machine_does_not_see_is_refused(
    machines: tuple[Cluster, Any, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that means another folder for the second machine."""
    _, second, folder = machines
    monkeypatch.chdir(folder / "first")
    seen_by_first = Path("/proc/self/cwd/store")
    seen_by_first.mkdir()
    with pytest.raises(InputError, match="1 of 2 machines of the cluster cannot take part") as refused:
        check_machines(seen_by_first)
    assert f"({second.node_id[:6]}): No such file or directory in the folder)" in str(refused.value)
    assert "/proc/self/cwd/store, where" in str(refused.value)
    assert "--out" in str(refused.value)
    check_machines(folder / "shared")
    assert not list(folder.rglob(".shared-*"))


def test_a_search_over_two_machines_survives_the_death_of_one(
    machines: tuple[Cluster, Any, Path], tmp_path: Path
) -> None:
    cluster, second, folder = machines
    data_path = write_toy(tmp_path)
    meeting = {"meeting": str(tmp_path / "meeting")}
    Path(meeting["meeting"]).mkdir()
    search = toy_search(
        folder / "search",
        data_path,
        request=WaitingRequest,
        request_options=meeting,
        budget={"trials": 5, "max_concurrent": None},
        epochs=EPOCHS,
    )
    search = replace(search, resources=Resources(cpus=1, gpus=0.5))
    data = data_of(search)
    killed: list[str] = []

    def kill_when_busy() -> None:
        """Kill the second machine in the middle of a trial."""
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            time.sleep(0.05)
            for trial in Journal(search.folder / "journal.jsonl").trials.values():
                if second.node_id[:6] in trial.node and not trial.state and len(trial.rows) in range(3, 8):
                    cluster.remove_node(second, allow_graceful=False)
                    killed.append(trial.trial)
                    return

    killer = threading.Thread(target=kill_when_busy)
    killer.start()
    record = run_search(search, ray.put(data), quiet_console())
    killer.join()
    assert [trial.state for trial in record.trials] == ["finished"] * 5
    assert [seen.read_text() for seen in Path(meeting["meeting"]).iterdir()] == ["0", "0"]
    assert {trial.trial: trial.attempts for trial in record.trials if trial.attempts > 1} == {killed[0]: 2}
    for trial in record.trials:
        inside = record.epochs[record.epochs["trial"] == trial.trial]
        assert list(inside["epoch"]) == list(range(EPOCHS))
        assert list(inside["score"]) == [evaluation.score for evaluation in curve(search, trial.config, data)]
