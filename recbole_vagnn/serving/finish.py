"""What a run does for use after it: evaluate vlogger recommendation, and keep the model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_vagnn.data.follow import FollowPairs
from recbole_vagnn.errors import InputError
from recbole_vagnn.result import Result
from recbole_vagnn.serving.snapshot import keep_model
from recbole_vagnn.serving.vlogger_evaluation import VloggerTask, evaluate_vloggers

if TYPE_CHECKING:
    from recbole_vagnn.config import VloggerConfig
    from recbole_vagnn.trainer import ResumableMixin


def add_vlogger_metrics(result: Result, model: Any, train: Any, task: VloggerTask, topk: Sequence[int]) -> None:
    """Evaluate vlogger recommendation and add it to the result.

    Args:
        result: of the run; it gets ``vlogger_per_user`` and ``vlogger_users``, their means go into ``test``.
        model: the model with the weights of its best epoch.
        train: the training split.
        task: the vloggers to be found.
        topk: cut-offs.
    """
    result.vlogger_per_user = evaluate_vloggers(model, train, task, topk)
    result.vlogger_users = train.id2token(train.uid_field, task.users + 1)
    result.test |= {name: float(values.mean()) for name, values in result.vlogger_per_user.items()}
    result.sizes |= {"vlogger_users": len(task.users), "vlogger_positives": int(task.positives.nnz)}


def keep(
    config: VloggerConfig,
    trainer: ResumableMixin,
    splits: Sequence[Any],
    follow: FollowPairs | None,
    result: Result,
) -> None:
    """Write the checkpoint folder beside the .pth, under the same name; with ``keep_pth: False`` in its place.

    A disk that refuses costs the folder and not the run: it is logged as a warning, and the .pth stays.

    Args:
        config, trainer, splits: of the run.
        follow: every pair of the ``.follow`` file, or None.
        result: of the run.
    """
    pth = Path(trainer.saved_model_file)
    folder = pth.with_suffix("")
    try:
        keep_model(folder, trainer.model, splits, follow, config, result)
    except (InputError, OSError) as error:
        logging.getLogger().warning(f"The checkpoint {folder} could not be written ({error}); {pth} is kept.")
        return
    if not config["keep_pth"]:
        result.checkpoint = str(folder)
        for file in (pth, trainer.last_state_file):
            file.unlink(missing_ok=True)
