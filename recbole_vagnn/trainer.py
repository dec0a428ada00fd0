"""RecBole's trainers made resumable, with checkpoints that never collide and losses that have names.

RecBole saves only improvements and no generator, so a killed run cannot go on as if nothing had happened. Here
everything the next epoch depends on is written before that epoch starts.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.trainer import Trainer
from recbole.utils import set_color

from recbole_vagnn.errors import InputError
from recbole_vagnn.evaluation import RecordingEvaluator, TopkCollector

LAST_STATE_SUFFIX = ".last"


@dataclass
class EpochRecord:
    """What one epoch did.

    Attributes:
        epoch: number, from 0.
        train_seconds: time of training.
        losses: mean over batches of each term of the loss, by name.
        valid_seconds: time of the evaluation, None without one.
        valid: validation metrics, e.g. ``{"recall@10": 0.1}``; None without evaluation.
    """

    epoch: int
    train_seconds: float
    losses: dict[str, float] = field(default_factory=dict)
    valid_seconds: float | None = None
    valid: dict[str, float] | None = None


class ResumableMixin(Trainer):
    """Adds to a RecBole trainer: unique checkpoint, last-state file each epoch, resume, per-user metrics.

    The last-state file lies beside the checkpoint (``….pth`` → ``….last``). It holds tensors and plain values
    only and is read without unpickling code. A run that is killed at any moment and resumed gives the losses
    and metrics of an uninterrupted one, as long as the model keeps its state in parameters, buffers and
    ``random_state()``.

    Attributes:
        history: one :class:`EpochRecord` per epoch trained, those before a resume included.
        on_batch: called with (batches done, batches of the epoch), or None.
        on_epoch: called with the :class:`EpochRecord` at the end of each epoch, or None.
        state_extra: plain values stored in and compared with the last-state file by the runner.
    """

    def __init__(self, config: Any, model: torch.nn.Module) -> None:
        super().__init__(config, model)
        self.eval_collector = TopkCollector(config)
        self.evaluator = RecordingEvaluator(config)
        name = f"{config['model']}-{config['dataset']}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        self.saved_model_file = str(Path(self.checkpoint_dir, f"{name}.pth"))
        self.history: list[EpochRecord] = []
        self.on_batch: Callable[[int, int], None] | None = None
        self.on_epoch: Callable[[EpochRecord], None] | None = None
        self.state_extra: dict[str, Any] = {}
        self._train_data: Any = None
        self._restored: dict[str, Any] | None = None
        self._saves_state = True

    # --- training ---------------------------------------------------------------------------------------------

    def fit(
        self,
        train_data: Any,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, dict[str, float] | None]:
        """RecBole's ``fit``; after :meth:`restore` it goes on where the file was written.

        Returns:
            best validation score and the validation metrics at it.
        """
        self._train_data, self._saves_state = train_data, saved
        if self._restored is not None:
            state, self._restored = self._restored, None
            self._load_generators(state["generators"])  # sampled evaluation draws too
            if self.cur_step > self.stopping_step or self.start_epoch >= self.epochs:
                self.eval_collector.data_collect(train_data)
                return self.best_valid_score, self.best_valid_result
        result = super().fit(train_data, valid_data, verbose, saved, show_progress, callback_fn)
        self._report_epoch()
        self._write_last_state()
        return result  # type: ignore[no-any-return]

    def _train_epoch(self, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False) -> Any:
        self._report_epoch()
        self._write_last_state()
        if hasattr(self.model, "begin_epoch"):
            self.model.begin_epoch(epoch_idx)
        started = time.perf_counter()
        if loss_func is None and self.on_batch is not None:
            loss_func = self._counting_loss(len(train_data))
        losses = self._train_batches(train_data, epoch_idx, loss_func, show_progress)
        named = {name: value / len(train_data) for name, value in self._named(losses).items()}
        self.history.append(EpochRecord(epoch_idx, time.perf_counter() - started, named))
        return losses

    def _train_batches(self, train_data: Any, epoch_idx: int, loss_func: Any, show_progress: bool) -> Any:
        """RecBole's loop over the batches of an epoch; returns the sum of each term of the loss."""
        return super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)

    def _counting_loss(self, n_batches: int) -> Callable[..., Any]:
        done = 0

        def loss(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            done += 1
            assert self.on_batch is not None
            self.on_batch(done, n_batches)
            return self.model.calculate_loss(*args, **kwargs)

        return loss

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> Any:
        started = time.perf_counter()
        score, result = super()._valid_epoch(valid_data, show_progress)
        if self.history:
            self.history[-1].valid_seconds = time.perf_counter() - started
            self.history[-1].valid = dict(result)
        return score, result

    def _report_epoch(self) -> None:
        """Tell the listener about the latest epoch, once its evaluation and checkpoint are done."""
        if self.on_epoch is not None and self.history and self.history[-1].epoch >= self.start_epoch:
            self.on_epoch(self.history[-1])

    def _named(self, losses: Any) -> dict[str, float]:
        parts = losses if isinstance(losses, tuple) else (losses,)
        names = getattr(self.model, "loss_names", None)
        if names is None or len(names) != len(parts):
            names = ("loss",) if len(parts) == 1 else [f"loss{i + 1}" for i in range(len(parts))]
        return {name: float(part) for name, part in zip(names, parts, strict=True)}

    def _generate_train_loss_output(self, epoch_idx: int, s_time: float, e_time: float, losses: Any) -> str:
        places = self.config["loss_decimal_place"] or 4
        parts = ", ".join(
            f"{set_color(name, 'blue')}: {value:.{places}f}" for name, value in self._named(losses).items()
        )
        time_spent = f"{set_color('time', 'blue')}: {e_time - s_time:.2f}s"
        return f"{set_color(f'epoch {epoch_idx} training', 'green')} [{time_spent}, {parts}]"

    def _check_nan(self, loss: torch.Tensor) -> None:
        if torch.isnan(loss):
            raise InputError(
                f"The training loss of {self.config['model']} is NaN in epoch {len(self.history)}. Lower "
                f"`learning_rate` (now {self.learning_rate}), or switch `enable_amp` off if it is on."
            )

    # --- checkpoints ------------------------------------------------------------------------------------------

    @property
    def last_state_file(self) -> Path:
        """Where the state for a resume is written."""
        return Path(self.saved_model_file).with_suffix(LAST_STATE_SUFFIX)

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        """RecBole's checkpoint, written whole or not at all."""
        target = kwargs.pop("saved_model_file", self.saved_model_file)
        with _whole_or_not_at_all(Path(target)) as draft:
            super()._save_checkpoint(epoch, verbose=False, saved_model_file=str(draft))
        if verbose:
            self.logger.info(f"{set_color('Saving current', 'blue')}: {target}")

    def _write_last_state(self) -> None:
        if self._saves_state:
            self.save_state(self.last_state_file)

    def save_state(self, path: Path) -> None:
        """Write all that the coming epochs depend on, for :func:`read_last_state` and :meth:`restore`.

        To be called between epochs only, as ``on_epoch`` is.
        """
        state = {
            "next_epoch": self.history[-1].epoch + 1 if self.history else 0,
            "cur_step": self.cur_step,
            "best_valid_score": float(self.best_valid_score),
            "best_valid_result": dict(self.best_valid_result) if self.best_valid_result else None,
            "history": [asdict(record) for record in self.history],
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": self._dump_generators(),
            "extra": self.state_extra,
        }
        with _whole_or_not_at_all(path) as draft:
            torch.save(state, draft)

    def restore(self, state: dict[str, Any], checkpoint: str) -> None:
        """Take over a state read by :func:`read_last_state`; ``fit`` then goes on from it.

        Args:
            state: the state.
            checkpoint: the ``.pth`` beside it, which keeps the best epoch and goes on being updated.
        """
        self.saved_model_file = checkpoint
        self.start_epoch = state["next_epoch"]
        self.cur_step = state["cur_step"]
        self.best_valid_score = state["best_valid_score"]
        self.best_valid_result = state["best_valid_result"]
        self.history = [EpochRecord(**record) for record in state["history"]]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._restored = state

    def _dump_generators(self) -> dict[str, Any]:
        owned = {"model": self.model, "sampler": getattr(self._train_data, "_sampler", None)}
        return {
            "torch": torch.get_rng_state(),
            "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],  # of this run's GPU alone
            "loader": self._train_data.generator.get_state(),
            "plain": json.dumps(
                {
                    "numpy": _listed(np.random.get_state()),
                    "python": _listed(random.getstate()),
                    **{name: _owned_state(owner) for name, owner in owned.items()},
                }
            ),
        }

    def _load_generators(self, state: dict[str, Any]) -> None:
        torch.set_rng_state(state["torch"])
        if torch.cuda.is_available() and state["cuda"]:
            torch.cuda.set_rng_state(state["cuda"][0])
        self._train_data.generator.set_state(state["loader"])
        plain = json.loads(state["plain"])
        np.random.set_state(tuple(plain["numpy"]))
        version, internal, gauss = plain["python"]
        random.setstate((version, tuple(internal), gauss))
        for name, owner in (("model", self.model), ("sampler", self._train_data._sampler)):
            if plain[name]:
                owner.load_random_state(plain[name])


@contextmanager
def _whole_or_not_at_all(target: Path) -> Iterator[Path]:
    """A file to write to, which takes the place of ``target`` if the block ends well and vanishes if not."""
    draft = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        yield draft
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _owned_state(owner: Any) -> Any:
    return owner.random_state() if hasattr(owner, "random_state") else None


def _listed(value: Any) -> Any:
    """Tuples and arrays as lists, so that a generator's state fits JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (tuple, list)):
        return [_listed(item) for item in value]
    return value


@cache
def resumable(trainer: type) -> type:
    """The trainer class with :class:`ResumableMixin` in front, e.g. for NCL's or a traditional model's trainer."""
    return type(f"Resumable{trainer.__name__}", (ResumableMixin, trainer), {})


def resume_files(path: str | Path) -> tuple[Path, Path]:
    """The last-state file and the checkpoint that belong to either of them.

    Raises:
        InputError: there is no last-state file.
    """
    given = Path(path).expanduser().resolve()
    last, checkpoint = given.with_suffix(LAST_STATE_SUFFIX), given.with_suffix(".pth")
    if not last.is_file():
        raise InputError(
            f"There is no state to resume from: {last} does not exist. Give the .pth or .last file of a run."
        )
    return last, checkpoint


def read_last_state(path: Path) -> dict[str, Any]:
    """Read a last-state file; it can hold nothing but tensors and plain values.

    Raises:
        InputError: the file is damaged or was written by something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"next_epoch", "model", "optimizer", "generators", "extra"} - set(state)
    except Exception as error:  # torch raises many types for a damaged file, and advises to unpickle code
        raise InputError(
            f"{path} is damaged or no last-state file ({type(error).__name__}); nothing was loaded from it. Start "
            f"a new run."
        ) from None
    if missing:
        raise InputError(f"{path} is not a last-state file: it lacks {', '.join(sorted(missing))}.")
    return state  # type: ignore[no-any-return]
