"""The stages of ``bench.py``, contestants in turns."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from recbole_vagnn.allocator import keep_few_kernels, keep_freed_memory, large_blocks_kept

from .agreement import Agreement, check
from .alone import Job, run_in_child
from .contestants import CONTESTANTS, FAST, LAYERS, OURS, RECBOLE, Competitor, Contestant, build, first_batches
from .data import Loaded, Size, load_ours, load_recbole, require_same, simulate
from .machine import Load, watched
from .product import product_against_gather
from .profiling import profile
from .timing import Sample, in_turn, summaries, timed

_TURN = 0.3  # seconds of steps in a turn
_SLOW = 0.5  # a longer step gets no untimed one before it
_BUILDS = 5  # rounds of builds
_SAMPLINGS = 3  # rounds of sampling
_EPOCHS = 3  # rounds of epochs
_PROFILED = 10  # steps


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        contestants: keys of ``CONTESTANTS``, in the order of the tables.
        threads: of torch, one after the other.
        size: of the data.
        rounds: turns of each contestant in a stage at most.
        seconds: a contestant's time in a stage, after which it drops out.
        full: train whole epochs.
    """

    contestants: Sequence[str]
    threads: Sequence[int]
    size: Size
    rounds: int
    seconds: float
    full: bool = False


class Suite:
    """Data and contestants of a plan, and what is measured on them.

    Args:
        plan: what.
        folder: where the data are written.
        told: called with a line of progress.
    """

    def __init__(self, plan: Plan, folder: Path, told: Callable[[str], None]) -> None:
        self.plan, self._folder, self._told = plan, folder, told
        self.loads: dict[str, Load] = {}
        keep_freed_memory()  # as every run of ours does; it speeds RecBole's classes up as well
        keep_few_kernels()
        torch.set_num_threads(max(plan.threads))
        told("simulating and loading the data")
        simulate(folder, plan.size)
        self.ours = load_ours(folder, plan.size)
        self.recbole = load_recbole(folder, plan.size, self.ours.options["eval_batch_size"])
        require_same(self.ours, self.recbole)
        self._batches = first_batches(self.ours)
        self._competitors: dict[str, Competitor] = {}
        for key in plan.contestants:
            told(f"building {key}")
            self._competitors[key] = self._compete(CONTESTANTS[key])

    def _compete(self, contestant: Contestant) -> Competitor:
        loaded = self.recbole if contestant.kind == RECBOLE else self.ours
        return Competitor(contestant, loaded, self._batches)

    def data(self) -> dict[str, int]:
        """Sizes, as tables name them."""
        split = self.ours.split
        sizes = {"users": split.user_num - 1, "items": split.item_num - 1, "vloggers": split.vlogger_num - 1}
        return {
            **sizes,
            "train": len(split),
            "batch": self.plan.size.batch,
            "embedding": self.plan.size.embedding,
            "layers": LAYERS,
        }

    # --- stages ---------------------------------------------------------------------------------------------------

    def losses(self) -> dict[str, Any]:
        """Agreement of each contestant's loss of the first batch."""
        found: dict[str, Agreement] = {}
        for key, competitor in self._competitors.items():
            self._told(f"checking the loss of {key}")
            contestant = competitor.contestant
            stock = None
            if contestant.kind == FAST:
                stock = self._competitors.get(contestant.model) or self._compete(CONTESTANTS[contestant.model])
            agreement = check(competitor, stock)
            if agreement is not None:
                found[key] = agreement
        return {key: agreement.to_json() for key, agreement in found.items()}

    def build(self) -> dict[str, Any]:
        """From the training split to a model that can score."""

        def turn(competitor: Competitor) -> list[Sample]:
            gc.collect()
            return [timed(lambda: build(competitor.config, competitor.loaded))]

        return self._stage("build", turn, _BUILDS, least=2)

    def with_threads(self, threads: int) -> dict[str, Any]:
        """The stages that depend on the number of threads."""
        before, rounds = torch.get_num_threads(), self.plan.rounds
        torch.set_num_threads(threads)
        label = f"{threads} thread{'s' if threads > 1 else ''}"
        epoch_seconds = float("inf") if self.plan.full else self.plan.seconds / _EPOCHS
        try:
            with large_blocks_kept():  # as training does
                return {
                    "sampling": self._sampling(f"sampling, {label}"),
                    "step": self._stage(f"step, {label}", Steps(), rounds, least=3),
                    "evaluation": self._stage(f"evaluation, {label}", lambda one: [one.evaluate()], rounds),
                    "epoch": self._stage(f"epoch, {label}", lambda one: [one.epoch(epoch_seconds)], _EPOCHS),
                    "product": self._product(f"product, {label}"),
                }
        finally:
            torch.set_num_threads(before)

    def memory(self, script: str) -> dict[str, Any]:
        """Peak memory of each contestant in a process of its own, which ``script --alone`` starts."""
        found = {}
        for key in self.plan.contestants:
            self._told(f"memory of {key}, in a process of its own")
            size, eval_batch = self.plan.size, self.ours.options["eval_batch_size"]
            job = Job(key, str(self._folder), size, max(self.plan.threads), eval_batch, 3, 0.0, epoch=False)
            alone = run_in_child(script, job)
            found[key] = {name: alone[name] for name in ("peak_mib", "imports_mib", "load")}
            found[key]["phases"] = {name: phase["peak_mib"] for name, phase in alone["phases"].items()}
        return found

    def profiles(self) -> dict[str, Any]:
        """Where the time of a step goes, by contestant and threads."""
        found: dict[str, dict[str, Any]] = {}
        before = torch.get_num_threads()
        for key, competitor in self._competitors.items():
            found[key] = {}
            for threads in self.plan.threads:
                self._told(f"profile of {key}, {threads} thread(s)")
                torch.set_num_threads(threads)
                with watched(self.loads, f"profile of {key}, {threads} thread(s)"):
                    found[key][str(threads)] = profile(competitor.step, _PROFILED)
        torch.set_num_threads(before)
        return found

    # --- parts ----------------------------------------------------------------------------------------------------

    def _stage(
        self, name: str, turn: Callable[[Competitor], list[Sample]], rounds: int, least: int = 1
    ) -> dict[str, Any]:
        """A stage in which every contestant has turns."""
        return self._turns(name, {key: partial(turn, one) for key, one in self._competitors.items()}, rounds, least)

    def _turns(
        self, name: str, turns: Mapping[str, Callable[[], list[Sample]]], rounds: int, least: int = 1
    ) -> dict[str, Any]:
        rounds = max(least, min(rounds, self.plan.rounds))
        with watched(self.loads, name):
            found = in_turn(turns, rounds, self.plan.seconds, lambda line: self._told(f"{name}, {line}"), least)
        return summaries(found)

    def _sampling(self, name: str) -> dict[str, Any]:
        def turn(loaded: Loaded) -> list[Sample]:
            return [timed(lambda: sum(1 for _ in loaded.train))]

        loaders = {RECBOLE: self.recbole, OURS: self.ours}
        return self._turns(name, {key: partial(turn, loaded) for key, loaded in loaders.items()}, _SAMPLINGS)

    def _product(self, name: str) -> dict[str, Any]:
        interactions, size = self.ours.split.interactions(), self.plan.size.embedding
        with watched(self.loads, name):
            return product_against_gather(interactions, size, 5 * self.plan.rounds, self.plan.seconds)


class Steps:
    """A turn of training steps: one to warm the caches up, then as many as fit into _TURN seconds, at most five."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    def __call__(self, competitor: Competitor) -> list[Sample]:
        title = competitor.contestant.title
        known = self._known[title] if title in self._known else competitor.step().wall
        if known < _SLOW:
            competitor.step()
        samples = [competitor.step() for _ in range(max(1, min(5, int(_TURN / known))))]
        self._known[title] = min(sample.wall for sample in samples)
        return samples
