"""Training for model selection: like a run, but it ends with the last validation and has no test data in reach."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_vagnn.allocator import large_blocks_kept
from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.data.selection import SelectionData
from recbole_vagnn.runner import (
    best_epoch,
    build_model,
    build_trainer,
    check_same_data,
    load_dataset,
    set_up_process,
)
from recbole_vagnn.trainer import EpochRecord, ResumableMixin, read_last_state

FINISHED, PLATEAU = "finished", "plateau"


@dataclass(frozen=True)
class Evaluation:
    """State of a training after an evaluation.

    Attributes:
        number: how many evaluations there were, this one included.
        epoch: the epoch that was evaluated, from 0.
        score: its value of ``valid_metric``.
        best: best score so far.
        best_epoch: its epoch; of equal ones the last, as in a run.
        metrics: all validation metrics of this epoch.
        loss: sum of the epoch's losses.
        seconds: of training and validation so far, those before a resume included.
        seconds_since: of them, those since the evaluation before.
        ended: "finished" (no further evaluation within ``epochs``), "plateau" (``stopping_step``), or None.
        save: writes the state that ``fit`` goes on from to a file.
    """

    number: int
    epoch: int
    score: float
    best: float
    best_epoch: int
    metrics: dict[str, float]
    loss: float
    seconds: float
    seconds_since: float
    ended: str | None
    save: Callable[[Path], None]


def load(config: VloggerConfig) -> SelectionData:
    """Load and split a data set, and keep training and validation data alone.

    Raises:
        InputError: the data are bad, or unfit for selecting models.
    """
    return SelectionData.of(load_dataset(config).build())


def fit(
    config: VloggerConfig,
    data: SelectionData,
    on_evaluation: Callable[[Evaluation], None],
    *,
    resume: Path | None = None,
) -> None:
    """Train a model until its epochs are over or its validation score has come to a plateau.

    Losses and validation metrics are those of :func:`recbole_vagnn.run` with the same options, seed and threads.
    Checkpoints are not written: a training is judged by its scores, and goes on from what ``Evaluation.save`` wrote.

    Args:
        config: the configuration.
        data: training and validation data; not to be used again.
        on_evaluation: called after every evaluation, before anything of the next epoch; it may raise.
        resume: a state of the same training, to go on from.

    Raises:
        InputError: the model refuses its options, the loss is NaN, or the state is damaged or of other data.
    """
    set_up_process(config)
    train, valid = data.loaders(config)
    trainer = build_trainer(config, build_model(config, data.train), data.fingerprint)
    if resume is not None:
        state = read_last_state(resume)
        check_same_data(state, trainer)
        trainer.restore(state, trainer.saved_model_file)

    def tell(record: EpochRecord) -> None:
        if record.valid is not None:
            on_evaluation(_evaluation(trainer, record))

    trainer.on_epoch = tell
    with large_blocks_kept(), closing(trainer.tensorboard):
        trainer.fit(train, valid, saved=False)


def _evaluation(trainer: ResumableMixin, record: EpochRecord) -> Evaluation:
    evaluated = [index for index, earlier in enumerate(trainer.history) if earlier.valid is not None]
    since = trainer.history[evaluated[-2] + 1 if len(evaluated) > 1 else 0 :]
    metrics: dict[str, Any] = record.valid or {}
    return Evaluation(
        number=len(evaluated),
        epoch=record.epoch,
        score=float(metrics[trainer.valid_metric]),
        best=float(trainer.best_valid_score),
        best_epoch=best_epoch(trainer),
        metrics={name: float(value) for name, value in metrics.items()},
        loss=sum(record.losses.values()),
        seconds=sum(map(_seconds, trainer.history)),
        seconds_since=sum(map(_seconds, since)),
        ended=_ended(trainer, record.epoch),
        save=trainer.save_state,
    )


def _seconds(record: EpochRecord) -> float:
    return record.train_seconds + (record.valid_seconds or 0.0)


def _ended(trainer: ResumableMixin, epoch: int) -> str | None:
    if epoch + 1 + trainer.eval_step > trainer.epochs:
        return FINISHED
    return PLATEAU if trainer.cur_step > trainer.stopping_step else None
