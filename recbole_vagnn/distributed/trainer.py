"""RecBole's trainer in several processes, with the gradient of the joined batch."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import recbole.trainer.trainer as recbole_trainer
import torch
from recbole.evaluator.collector import DataStruct
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from recbole_vagnn.distributed.evaluation import JoiningEvaluator, own_batches
from recbole_vagnn.distributed.gradients import added
from recbole_vagnn.distributed.ranks import Ranks
from recbole_vagnn.distributed.shares import loss_of_share
from recbole_vagnn.trainer import ResumableMixin

if TYPE_CHECKING:
    from recbole.data.interaction import Interaction


class _NoTensorboard:
    """Takes the place of TensorBoard's writer where another process writes."""

    def add_scalar(self, *_: Any) -> None: ...
    def add_hparams(self, *_: Any) -> None: ...
    def close(self) -> None: ...


class _ShareOfLoss(nn.Module):
    """This process's part of the loss as a module, which is what DistributedDataParallel wants to call."""

    def __init__(self, model: nn.Module, part: Callable[[Any, Interaction], Any]) -> None:
        super().__init__()
        self.model = model  # for its parameters
        self._part = part

    def forward(self, loss: Callable[..., Any], batch: Interaction) -> Any:
        return self._part(loss, batch)


class JoinedMixin(ResumableMixin):
    """Adds to a resumable trainer: a share of each batch, gradients added up, one evaluation, one writer of files.

    Attributes:
        ranks: the processes.
    """

    ranks: ClassVar[Ranks]

    def __init__(self, config: Any, model: nn.Module) -> None:
        super().__init__(config, model)
        self.evaluator = JoiningEvaluator(config, self.ranks)
        part = _ShareOfLoss(model, loss_of_share(model, config, self.ranks.share))
        with warnings.catch_warnings():
            # The newer name of `broadcast_buffers` is not known to every version of torch that is served.
            warnings.simplefilter("ignore", FutureWarning)
            # Buffers change alike in all processes. A part of a batch may have no use for some parameter.
            self.distributed_model = DistributedDataParallel(part, broadcast_buffers=False, find_unused_parameters=True)
        self.distributed_model.register_comm_hook(None, added)

    # --- training ---------------------------------------------------------------------------------------------

    def _train_batches(self, train_data: Any, epoch_idx: int, loss_func: Any, show_progress: bool) -> Any:
        self._require_agreement()
        loss_func = loss_func or self.model.calculate_loss
        losses = super()._train_batches(
            train_data, epoch_idx, lambda batch: self.distributed_model(loss_func, batch), show_progress
        )
        parts = losses if isinstance(losses, tuple) else (losses,)
        totals = self.ranks.sum(parts)
        return tuple(totals) if isinstance(losses, tuple) else totals[0]

    def _require_agreement(self) -> None:
        """Once an epoch: all processes hold the same parameters and will draw the same numbers."""
        self.ranks.require_equal("The random generators", _digests(self._dump_generators()))
        sums = [_checksum(tensor) for tensor in self.model.state_dict().values()]
        self.ranks.require_equal("The parameters", sums)

    # --- evaluation -------------------------------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(
        self, eval_data: Any, load_best_model: bool = True, model_file: Any = None, show_progress: bool = False
    ) -> Any:
        """RecBole's ``evaluate`` on every user once, whichever process scores them; the same result in all."""
        if not eval_data:
            return None
        if load_best_model:
            self._load_best(model_file or self.saved_model_file)
        part = own_batches(eval_data, self.ranks)
        if part:
            result = super().evaluate(part, load_best_model=False, show_progress=show_progress)
        else:
            result = self.evaluator.evaluate(DataStruct())
        # Who scores more users may have drawn more.
        self._load_generators(self.ranks.from_first(self._dump_generators()))
        return result

    def _load_best(self, file: str) -> None:
        """The best epoch's model, read by the first process alone: the file may be on its machine only."""
        other: dict[str, Any] | None = None
        if self.ranks.first:
            saved = torch.load(file, map_location=self.device, weights_only=False)  # written by this run
            self.model.load_state_dict(saved["state_dict"])
            other = {name: _moved(value, "cpu") for name, value in (saved.get("other_parameter") or {}).items()}
        state = self.model.state_dict()
        copies = self.ranks.copied_from_first(state.values())
        self.model.load_state_dict(dict(zip(state, copies, strict=True)))
        other = self.ranks.from_first(other)
        self.model.load_other_parameter({name: _moved(value, self.device) for name, value in (other or {}).items()})
        self.logger.info(f"Loading model structure and parameters from {file}")

    # --- files ------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        """RecBole's checkpoint, which the first process alone writes."""
        if self.ranks.first:
            super()._save_checkpoint(epoch, verbose, **kwargs)

    def save_state(self, path: Path) -> None:
        """The state for a resume, which the first process alone writes."""
        if self.ranks.first:
            super().save_state(path)


def joined_trainer(base: type[ResumableMixin], config: Any, model: nn.Module, ranks: Ranks) -> ResumableMixin:
    """A resumable trainer that is one of several processes.

    Args:
        base: class of the trainer.
        config, model: of the run.
        ranks: the processes.
    """
    trainer = type(f"Joined{base.__name__}", (JoinedMixin, base), {"ranks": ranks})
    if ranks.first:
        return trainer(config, model)  # type: ignore[no-any-return]
    config["log_wandb"] = False
    with _without_tensorboard():
        return trainer(config, model)  # type: ignore[no-any-return]


@contextmanager
def _without_tensorboard() -> Iterator[None]:
    """RecBole's trainers begin a TensorBoard file when they are made."""
    original = recbole_trainer.get_tensorboard
    recbole_trainer.get_tensorboard = lambda _logger: _NoTensorboard()
    try:
        yield
    finally:
        recbole_trainer.get_tensorboard = original


def _checksum(tensor: Tensor) -> int:
    """Sum of the bytes: what differs in one bit differs here."""
    if not tensor.numel():
        return 0
    return int(tensor.detach().contiguous().view(-1).view(torch.uint8).sum(dtype=torch.int64))


def _digests(generators: dict[str, Any]) -> dict[str, str]:
    """Digest of each state by name, from its contents: the pickles of equal tensors can differ."""
    parts = {name: state if isinstance(state, list) else [state] for name, state in generators.items()}
    return {
        name: hashlib.sha256(b"".join(_bytes_of(part) for part in states)).hexdigest() for name, states in parts.items()
    }


def _bytes_of(state: str | Tensor) -> bytes:
    return state.encode() if isinstance(state, str) else state.numpy().tobytes()


def _moved(value: Any, device: Any) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value
