"""Searches on toy data that take a second, and requests whose trials die on purpose."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.data.selection import SelectionData
from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import Contestant
from recbole_vagnn.experiments.tuning.budget import Budget
from recbole_vagnn.experiments.tuning.search import Resources, Search
from recbole_vagnn.experiments.tuning.space import read_space
from recbole_vagnn.experiments.tuning.trial import TrialRequest
from recbole_vagnn.fit import Evaluation, fit, load
from recbole_vagnn.trainer import ResumableMixin

OPTIONS: dict[str, Any] = {
    "embedding_size": 8,
    "train_batch_size": 64,
    "topk": [5, 10],
    "epochs": 24,
    "stopping_step": 50,
    "show_progress": False,
    "torch_threads": 1,
    "seed": 2020,
    "use_gpu": False,
}
SPACE = "first:\n  - {learning_rate: 0.02}\nspace:\n  learning_rate: {log: [1.0e-4, 0.1]}\n"


def toy_options(data_path: Path, **changes: Any) -> dict[str, Any]:
    """Options of every trial on data set ``toy``."""
    return {**OPTIONS, "data_path": str(data_path), **changes}


def toy_search(
    folder: Path,
    data_path: Path,
    *,
    model: str = "BPR",
    space: str = SPACE,
    budget: Mapping[str, Any] | None = None,
    request: type[TrialRequest] = TrialRequest,
    request_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Search:
    """A search in ``folder`` that reports a checkpoint as often as it may."""
    given = toy_options(data_path, **options)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "space.yaml"
    file.write_text(space)
    searched = read_space(model, file, dataset="toy", data_path=data_path, options=options)
    asked = request(model, "toy", given, searched, checkpoint_seconds=0.0, **(request_options or {}))
    effort = Budget(**{"trials": 4, "max_concurrent": 1, **(budget or {})})
    return Search(Contestant(model, model), asked, {}, effort, Resources(), folder / "search", {})


def data_of(search: Search) -> bytes:
    """Training and validation data of a search."""
    return load(search.config).to_bytes()


def curve(search: Search, point: Mapping[str, Any], data: bytes | None = None) -> list[Evaluation]:
    """All evaluations of a point in this process, without Ray."""
    told: list[Evaluation] = []
    content = SelectionData.from_bytes(data_of(search) if data is None else data)
    fit(search.request.configuration(point), content, told.append)
    return told


def quiet_console() -> Console:
    """A console that prints into a text: ``console.file.getvalue()``."""
    return Console(file=StringIO(), width=200)


@dataclass(frozen=True)
class DyingRequest(TrialRequest):
    """Trials that harm their process after training ``epoch``, and note every epoch that is trained.

    Attributes:
        notes: file with a line for each epoch trained and each harm done.
        harms: learning rate → ("kill", "raise" or "refuse", an InputError; how often).
        epoch: when.
    """

    notes: str = ""
    harms: tuple[tuple[float, str, int], ...] = ()
    epoch: int = 5

    def configuration(self, point: Mapping[str, Any]) -> VloggerConfig:
        original = getattr(ResumableMixin, "undisturbed", ResumableMixin._valid_epoch)
        rate = point["learning_rate"]

        def valid_epoch(trainer: Any, *arguments: Any, **more: Any) -> Any:
            epoch = trainer.history[-1].epoch
            self.note(f"{rate} epoch {epoch}")
            if epoch == self.epoch:
                self.harm(rate)
            return original(trainer, *arguments, **more)

        ResumableMixin.undisturbed, ResumableMixin._valid_epoch = original, valid_epoch  # type: ignore[attr-defined]
        return super().configuration(point)

    def note(self, text: str) -> None:
        with Path(self.notes).open("a") as file:
            file.write(f"{text}\n")

    def harm(self, rate: float) -> None:
        how, times = next(((how, times) for harmed, how, times in self.harms if harmed == rate), ("", 0))
        if Path(self.notes).read_text().count(f"{rate} harm") >= times:
            return
        self.note(f"{rate} harm")
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "refuse":
            raise InputError("the user is wrong")
        raise RuntimeError("the model\nexploded")


@dataclass(frozen=True)
class WaitingRequest(TrialRequest):
    """Trials that wait, at most a minute, until processes on two machines are training, and then take their time.

    Attributes:
        meeting: folder where each machine leaves a file, which says the GPUs that Ray gave the last trial there.
        pause: seconds of sleep before each evaluation.
    """

    meeting: str = ""
    pause: float = 0.1

    def configuration(self, point: Mapping[str, Any]) -> VloggerConfig:
        original = getattr(ResumableMixin, "undisturbed", ResumableMixin._valid_epoch)

        def valid_epoch(trainer: Any, *arguments: Any, **more: Any) -> Any:
            if ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None:
                self.meet()
            return original(trainer, *arguments, **more)

        ResumableMixin.undisturbed, ResumableMixin._valid_epoch = original, valid_epoch  # type: ignore[attr-defined]
        return super().configuration(point)

    def meet(self) -> None:
        Path(self.meeting, ray.get_runtime_context().get_node_id()).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
        deadline = time.monotonic() + 60
        while len(list(Path(self.meeting).iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(self.pause)
