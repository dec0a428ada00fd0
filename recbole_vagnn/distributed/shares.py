"""Which share of a model's loss a process computes.

Our models compute their ``share`` themselves. RecBole's do not know of shares: where the loss is a mean over rows and
draws nothing for a row, a process computes its rows; where one term takes the time, it is divided; everything else is
computed by every process, and counted 1/N times in each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from recbole.trainer import TraditionalTrainer, Trainer
from recbole.utils import get_trainer
from torch import Tensor, nn

from recbole_vagnn.errors import InputError
from recbole_vagnn.nn.share import Share
from recbole_vagnn.trainer import resumable

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.interaction import Interaction

Loss = Callable[..., Any]
# RecBole's models whose loss is a mean over rows, and the option that must be 0 for it to draw nothing for a row.
_MEANS: dict[str, str | None] = {"BPR": None, "NeuMF": "dropout_prob"}


def refuse_unfit(config: Config) -> None:
    """Refuse what several processes cannot train right.

    Raises:
        InputError: the model has no gradients or a training loop of its own, or negatives are chosen by scores.
    """
    name = config["model"]
    trainer = get_trainer(config["MODEL_TYPE"], name)
    if issubclass(trainer, TraditionalTrainer):
        raise InputError(f"{name} is not trained by gradients: there is nothing to share. Use --nproc=1.")
    if trainer not in (Trainer, resumable(Trainer)):
        raise InputError(
            f"{name} has a training loop of its own ({trainer.__name__}), which several processes would not follow in "
            f"step. Use --nproc=1."
        )
    if (config["train_neg_sample_args"] or {}).get("dynamic"):
        raise InputError(
            "`train_neg_sample_args.dynamic: True` chooses negatives by scores, whose last bits decide and may differ "
            "between processes. Use --nproc=1, or leave `dynamic` out."
        )


def note_on(model: nn.Module, config: Config) -> str | None:
    """What a user should know of how the model is divided; None if its loss is."""
    if hasattr(model, "share") or _is_mean(config) or config["model"] in _DIVIDED:
        return None
    return (
        f"{config['model']}: every process computes the whole loss, as it is not known to be a sum over a batch. The "
        f"result is right, but only the evaluation gains by --nproc."
    )


def loss_of_share(model: nn.Module, config: Config, share: Share) -> Callable[[Loss, Interaction], Any]:
    """Divide a model's loss; the parts of all processes add up to the loss of the batch, and so do the gradients.

    Args:
        model: the model; it is told its share.
        config: of the run.
        share: of this process.

    Returns:
        function of RecBole's loss function and a batch that gives this process's part of the loss.
    """
    if hasattr(model, "share"):
        model.share = share  # type: ignore[assignment]
        return lambda loss, batch: loss(batch)
    if _is_mean(config):
        return lambda loss, batch: _mean_of_rows(loss, batch, share)
    if config["model"] in _DIVIDED:
        _DIVIDED[config["model"]](model, share)
    return lambda loss, batch: _scaled(loss(batch), 1.0 / share.world)


def _is_mean(config: Config) -> bool:
    name = config["model"]
    drops = _MEANS.get(name)
    # Another objective draws candidates for each row: for all rows in every process, so that all draw alike.
    return name in _MEANS and (drops is None or config[drops] == 0) and config["objective"] in (None, "bpr")


def _mean_of_rows(loss: Loss, batch: Interaction, share: Share) -> Any:
    rows, size = share.rows(len(batch)), len(batch)
    n = rows.stop - rows.start
    own = batch[rows] if n else batch[:1]  # the mean of no rows would be NaN; it counts 0 times
    return _scaled(loss(own), n / size)


def _scaled(losses: Any, factor: float) -> Any:
    return tuple(factor * part for part in losses) if isinstance(losses, tuple) else factor * losses


class _MeanOfOwnRows(nn.Module):
    """A loss that is a mean over rows, times N, of this process's rows: counted 1/N times, it is their part."""

    def __init__(self, loss: nn.Module, share: Share) -> None:
        super().__init__()
        self.loss, self._share = loss, share

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        own = self._share.of(positive, negative)
        if not len(own[0]):
            return 0.0 * positive.sum()
        return self.loss(*own) * (self._share.world * len(own[0]) / len(positive))  # type: ignore[no-any-return]


def _divide_ranking_loss(model: Any, share: Share) -> None:
    """RecBole's LightGCN and NGCF: BPR is a mean; their regulariser, a norm of the batch, is not divided."""
    model.mf_loss = _MeanOfOwnRows(model.mf_loss, share)


def _divide_contrast(model: Any, share: Share) -> None:
    """RecBole's SGL: its contrast, a sum over the batch against all nodes, takes the time."""
    whole = model.calc_ssl_loss

    def of_own_rows(users: Tensor, items: Tensor, *views: Tensor) -> Tensor:
        return whole(*share.of(users, items), *views) * share.world  # type: ignore[no-any-return]

    model.calc_ssl_loss = of_own_rows


_DIVIDED: dict[str, Callable[[Any, Share], None]] = {
    "LightGCN": _divide_ranking_loss,
    "NGCF": _divide_ranking_loss,
    "SGL": _divide_contrast,
}
