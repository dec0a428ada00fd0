"""Who takes part: our models, RecBole's classes as they are, and RecBole's models with fast propagation."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recbole_vagnn import registry
from recbole_vagnn.config import VloggerConfig

from .data import NAME, Loaded
from .timing import Sample, Stopwatch

RECBOLE, FAST, OURS = "RecBole", "fast", "ours"
LAYERS = 2  # of every model: the goals compare the same batch, size and layers
BATCHES = 8  # trained on in turn, so that no batch is learned by heart


@dataclass(frozen=True)
class Contestant:
    """A model, whose class it is, and its settings.

    Attributes:
        title: name in tables.
        model: name of the model.
        kind: RECBOLE = RecBole's class, data set, sampler and trainer; FAST = our subclass of RecBole's model, OURS =
            a model of ours, both with our data set, sampler and trainer.
        options: beside those of the data.
    """

    title: str
    model: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)


_DEPTH = {"n_layers": LAYERS}
_NGCF = {"hidden_size_list": [64] * LAYERS}
_FAST, _STOCK = {"fast_propagation": True}, {"fast_propagation": False}
CONTESTANTS: dict[str, Contestant] = {
    "LightGCN": Contestant("RecBole LightGCN", "LightGCN", RECBOLE, {**_DEPTH, **_STOCK}),
    "NGCF": Contestant("RecBole NGCF", "NGCF", RECBOLE, {**_NGCF, **_STOCK}),
    "SGL": Contestant("RecBole SGL", "SGL", RECBOLE, {**_DEPTH, **_STOCK}),
    "LightGCN-fast": Contestant("LightGCN, fast", "LightGCN", FAST, {**_DEPTH, **_FAST}),
    "NGCF-fast": Contestant("NGCF, fast", "NGCF", FAST, {**_NGCF, **_FAST}),
    "SGL-fast": Contestant("SGL, fast", "SGL", FAST, {**_DEPTH, **_FAST}),
    "VAGNN": Contestant("VA-GNN", "VAGNN", OURS, _DEPTH),
    "SimGCL": Contestant("SimGCL", "SimGCL", OURS, _DEPTH),
    "XSimGCL": Contestant("XSimGCL", "XSimGCL", OURS, _DEPTH),
    "GTN": Contestant("GTN", "GTN", OURS, _DEPTH),
    # At the authors' λ2 = 4 nothing is clipped on an untrained graph; at this one many edges are.
    "GTN-clipping": Contestant("GTN, λ2 = 0.01", "GTN", OURS, {**_DEPTH, "lambda2": 0.01}),
}
BASE = "LightGCN"  # ratios are against it


class Competitor:
    """A contestant whose model is built: it takes steps, parts of epochs and evaluations.

    Attributes:
        config: its options.
        model: the network, in training mode.
        built: how long it took to build.
        trainer: RecBole's trainer, or ours.
        batches: what :meth:`step` trains on in turn.
        loss: of the last step.

    Args:
        contestant: who.
        loaded: the data as its kind loads them.
        batches: see above.
    """

    def __init__(self, contestant: Contestant, loaded: Loaded, batches: Sequence[Any]) -> None:
        self.contestant = contestant
        self.loaded = loaded
        self.config = config_of(contestant, loaded)
        watch = Stopwatch()
        self.model = build(self.config, loaded)
        self.built = watch.sample()
        self.trainer = _trainer(contestant, self.config, self.model)
        self.model.train()
        self.loss = float("nan")
        self.batches = batches
        self.rewind()

    def rewind(self) -> None:
        """Let the next step train on the first batch."""
        self._next_batches = itertools.cycle(self.batches)

    def step(self) -> Sample:
        """One training step: what RecBole's loop does with a batch."""
        batch, optimizer = next(self._next_batches), self.trainer.optimizer
        watch = Stopwatch()
        optimizer.zero_grad()
        losses = self.model.calculate_loss(batch)
        loss: Any = sum(losses) if isinstance(losses, tuple) else losses
        self.loss = loss.item()
        forward = watch.wall
        loss.backward()
        backward = watch.wall
        optimizer.step()
        whole = watch.sample()
        parts = {"forward": forward, "backward": backward - forward, "optimiser": whole.wall - backward}
        return Sample(whole.wall, whole.cpu, parts)

    def evaluate(self) -> Sample:
        """Validation of all users after a training step, so that no vectors are at hand from before."""
        self.step()
        watch = Stopwatch()
        self.trainer.evaluate(self.loaded.valid, load_best_model=False)
        sample = watch.sample()
        nn.Module.train(self.model)  # not the model's own method: SGL's draws both of its graphs again
        return sample

    def epoch(self, seconds: float) -> Sample:
        """An epoch by RecBole's own loop, or its beginning and what the whole would take.

        Args:
            seconds: after so many no further batch is begun.

        Returns:
            the time of a whole epoch; of its notes, ``batches`` is how many batches were measured, ``of`` how many an
            epoch has. The time before the first batch is counted once.
        """
        from recbole.trainer import Trainer

        part = _PartOfEpoch(self.loaded.train, seconds)
        watch = Stopwatch()
        Trainer._train_epoch(self.trainer, part, 0)  # ours writes a checkpoint's state besides
        sample = watch.sample()
        return extrapolated(sample, part.begun, part.batches, len(part))


def extrapolated(sample: Sample, begun: Sample, batches: int, of: int) -> Sample:
    """What a whole epoch takes, from its beginning.

    Args:
        sample: of the beginning; begun: until its first batch was at hand, which is counted once.
        batches: how many batches the beginning has, of how many.
    """
    scale = of / batches
    wall, cpu = (
        first + (whole - first) * scale for first, whole in ((begun.wall, sample.wall), (begun.cpu, sample.cpu))
    )
    return Sample(wall, cpu, notes={"batches": batches, "of": of})


class _PartOfEpoch:
    """A loader's first batches, as many as begin within some seconds; at least one.

    Attributes:
        batches: how many were handed out.
        begun: until the first was.
    """

    def __init__(self, loader: Any, seconds: float) -> None:
        self._loader, self._seconds = loader, seconds
        self._watch = Stopwatch()
        self.batches = 0
        self.begun = Sample(0.0, 0.0)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        for batch in self._loader:
            if self.batches == 0:
                self.begun = self._watch.sample()
            self.batches += 1
            yield batch
            if self._watch.wall - self.begun.wall > self._seconds:
                return


# --- building ---------------------------------------------------------------------------------------------------


def config_of(contestant: Contestant, loaded: Loaded) -> VloggerConfig:
    """Options of a contestant on some data."""
    return VloggerConfig(contestant.model, NAME, {**loaded.options, **contestant.options})


def build(config: VloggerConfig, loaded: Loaded) -> Any:
    """The model, from the training split to the scores of one user: some graphs are made when first needed."""
    from recbole.utils import init_seed

    init_seed(config["seed"], config["reproducibility"])
    model = registry.model_class(config["model"], config)(config, loaded.split).to(config["device"])
    model.eval()
    with torch.no_grad():
        model.full_sort_predict(loaded.split[torch.tensor([0])].to(config["device"]))
    return model


def _trainer(contestant: Contestant, config: VloggerConfig, model: Any) -> Any:
    from recbole.trainer import Trainer

    from recbole_vagnn.trainer import resumable

    kind = Trainer if contestant.kind == RECBOLE else resumable(Trainer)
    with contextlib.chdir(Path(config["data_path"])):  # where RecBole opens a TensorBoard file
        trainer = kind(config, model)
    trainer.tensorboard.close()
    return trainer


def first_batches(loaded: Loaded, count: int = BATCHES) -> list[Any]:
    """The first batches of an epoch; every contestant's steps train on them."""
    return list(itertools.islice(iter(loaded.train), count))
