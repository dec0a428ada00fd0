"""One experiment: options → config → data → model → training → evaluation → Result."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.data import data_preparation
from recbole.utils import EvaluatorType, ModelType, get_trainer, init_logger, init_seed

from recbole_vagnn import registry
from recbole_vagnn.allocator import keep_few_kernels, keep_freed_memory, large_blocks_kept
from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.data.fingerprint import fingerprint
from recbole_vagnn.data.follow import FollowPairs
from recbole_vagnn.defaults import dataset_file
from recbole_vagnn.distributed.shares import note_on
from recbole_vagnn.distributed.trainer import joined_trainer
from recbole_vagnn.errors import InputError
from recbole_vagnn.exposure import vlogger_exposure
from recbole_vagnn.progress import Reporter
from recbole_vagnn.result import Result, installed_versions, peak_memory_mb, plain
from recbole_vagnn.serving.finish import add_vlogger_metrics, keep
from recbole_vagnn.serving.vlogger_evaluation import vlogger_task
from recbole_vagnn.trainer import EpochRecord, ResumableMixin, read_last_state, resumable, resume_files

if TYPE_CHECKING:
    from recbole_vagnn.distributed.ranks import Ranks

# What may be changed when a run is resumed: anything else would make it another run.
RESUME_KEYS = (
    "epochs",
    "stopping_step",
    "show_progress",
    "use_gpu",
    "gpu_id",
    "torch_threads",
    "eval_vloggers",
    "keep_pth",
)
_OF_THE_MACHINE = ("device",)


_NO_USERS: NDArray[np.str_] = np.zeros(0, dtype=str)
_NO_ACTIVITY: NDArray[np.int64] = np.zeros(0, dtype=np.int64)


class Interrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C.

    Attributes:
        checkpoint: best epoch so far, or None if no epoch was evaluated.
        last_state: file that ``resume`` goes on from, or None if training had not begun.
    """

    def __init__(self, checkpoint: Path | None, last_state: Path | None) -> None:
        super().__init__("interrupted")
        self.checkpoint = checkpoint
        self.last_state = last_state


@dataclass
class _Loaders:
    train: Any
    valid: Any
    test: Any
    follow: FollowPairs | None  # every pair of the .follow file, those too young for training too

    @property
    def datasets(self) -> tuple[Any, Any, Any]:
        return self.train._dataset, self.valid._dataset, self.test._dataset


def run(
    model: str | None = None,
    dataset: str | None = None,
    options: Mapping[str, Any] | None = None,
    config_files: Iterable[str | Path] = (),
    *,
    resume: str | Path | None = None,
    result_file: str | Path | None = None,
    quiet: bool = False,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    ranks: Ranks | None = None,
) -> Result:
    """Train a model, keep the epoch that is best on validation data, and evaluate it once on test data.

    Args:
        model: model name; default from ``properties/overall.yaml``.
        dataset: data set name, likewise.
        options: typed options that override every default.
        config_files: YAML files of options; ``options`` override them.
        resume: checkpoint (``.pth``) or last-state file (``.last``) of a run to go on with; its options are used, of
            which only those in ``RESUME_KEYS`` may be given anew.
        result_file: where to write the result as JSON.
        quiet: print nothing.
        on_epoch: called after every epoch, its evaluation included.
        ranks: the processes that this one is one of, each of which calls this with the same arguments; see
            :func:`recbole_vagnn.distributed.launch.run_in_processes`. The first one writes and reports.

    Returns:
        the :class:`~recbole_vagnn.result.Result`.

    Raises:
        InputError: unknown or wrong options, bad data, or nothing to resume.
        Interrupted: Ctrl-C; the best checkpoint and the state for a resume are kept.

    Example:
        >>> from recbole_vagnn import run
        >>> result = run("VAGNN", "ml-100k-director", {"epochs": 1}, quiet=True)  # doctest: +SKIP
        >>> result.test["recall@10"]  # doctest: +SKIP
    """
    started = time.perf_counter()
    config, state, checkpoint = begin(model, dataset, options, config_files, resume)
    first = ranks is None or ranks.first
    reporter = Reporter(config, quiet or not first)
    set_up_process(config, writes_log=first)
    loaders = _load(config)
    task = vlogger_task(loaders.datasets, loaders.follow) if config["eval_vloggers"] else None
    load_seconds = time.perf_counter() - started
    network = build_model(config, loaders.train._dataset)
    build_seconds = time.perf_counter() - started - load_seconds
    trainer = build_trainer(config, network, fingerprint(*loaders.datasets), ranks)
    if state is not None and checkpoint is not None:
        check_same_data(state, trainer)
        _check_has_best(state, checkpoint)
        trainer.restore(state, str(checkpoint))
    reporter.loaded(*loaders.datasets)
    if ranks is not None and (note := note_on(network, config)):
        reporter.console.print(note, highlight=False, soft_wrap=True)
    # RecBole never closes its TensorBoard writer, whose thread would outlive the run.
    with large_blocks_kept(), _resumable_interrupts(trainer), closing(trainer.tensorboard):
        _train(trainer, loaders, reporter, on_epoch)
        result = _evaluate(config, trainer, loaders, started, {"load": load_seconds, "build": build_seconds})
        if ranks is not None:
            result.config["world_size"] = ranks.world
        if not first:
            return result
        if task is not None:
            add_vlogger_metrics(result, trainer.model, loaders.datasets[0], task, config["topk"])
        keep(config, trainer, loaders.datasets, loaders.follow, result)
    if result_file is not None:
        result.write(result_file)
    reporter.finished(result)
    return result


# --- steps, shared with recbole_vagnn.fit and recbole_vagnn.distributed --------------------------------------------


def begin(
    model: str | None,
    dataset: str | None,
    options: Mapping[str, Any] | None,
    config_files: Iterable[str | Path],
    resume: str | Path | None,
) -> tuple[VloggerConfig, dict[str, Any] | None, Path | None]:
    """The configuration of a run; of one that goes on, its last state and its checkpoint too. Arguments as of `run`.

    Raises:
        InputError: unknown or wrong options, or nothing to resume.
    """
    if resume is None:
        return VloggerConfig(model, dataset, options, config_files), None, None
    last, checkpoint = resume_files(resume)
    state = read_last_state(last)
    config = VloggerConfig(*_resumed_request(state, model, dataset, options, config_files))
    _check_same_defaults(state, config)
    return config, state, checkpoint


def set_up_process(config: VloggerConfig, writes_log: bool = True) -> None:
    """Threads, log file and warnings of this process."""
    keep_freed_memory()
    keep_few_kernels()
    if config["device"].type == "cuda":
        torch.cuda.reset_peak_memory_stats()  # an earlier run of this process is no part of this one's peak
    if config["torch_threads"]:
        torch.set_num_threads(config["torch_threads"])
    if writes_log:
        _set_up_logging(config)
    else:
        logging.getLogger().addHandler(logging.NullHandler())  # what another process says for both
    # RecBole's own code, on current versions; nothing a user could act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"recbole\.")
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"recbole\.")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"recbole\.")


_log_handlers: list[logging.Handler] = []  # of the last run in this process


def _set_up_logging(config: VloggerConfig) -> None:
    """Details go to RecBole's log file, one a run; the screen belongs to the reporter."""
    root = logging.getLogger()
    for handler in _log_handlers:
        root.removeHandler(handler)
        handler.close()
    others = root.handlers[:]
    root.handlers = []  # RecBole's basicConfig does nothing while handlers are there
    try:
        init_logger(config)
        _log_handlers[:] = root.handlers
    finally:
        root.handlers = [*root.handlers, *others]
    for handler in _log_handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.WARNING)
    root.info(config)


def _load(config: VloggerConfig) -> _Loaders:
    dataset = load_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    return _Loaders(train, valid, test, dataset.follow)


def load_dataset(config: VloggerConfig) -> Any:
    """The data set, not split yet.

    Raises:
        InputError: the model is no general recommender, the data are bad, or fewer items than ``topk`` asks for.
    """
    if config["MODEL_TYPE"] not in (ModelType.GENERAL, ModelType.TRADITIONAL):
        raise InputError(f"{config['model']} is not a general recommender; use RecBole's own run_recbole for it.")
    init_seed(config["seed"], config["reproducibility"])
    dataset = registry.create_dataset(config)
    logging.getLogger().info(dataset)
    if config["eval_type"] == EvaluatorType.RANKING and max(config["topk"]) >= dataset.item_num:
        raise InputError(f"`topk` is {config['topk']}, but {dataset.dataset_name} has {dataset.item_num - 1} items.")
    return dataset


def build_model(config: VloggerConfig, train_set: Any) -> Any:
    """The model, untrained, on the device of the configuration."""
    init_seed(config["seed"], config["reproducibility"])
    network = registry.model_class(config["model"], config)(config, train_set).to(config["device"])
    logging.getLogger().info(network)
    return network


def build_trainer(
    config: VloggerConfig, network: Any, data_hashes: dict[str, str], ranks: Ranks | None = None
) -> ResumableMixin:
    """The model's trainer, resumable, one of several where there are ``ranks``; its states name run and data."""
    base = get_trainer(config["MODEL_TYPE"], config["model"])
    base = base if issubclass(base, ResumableMixin) else resumable(base)
    trainer: ResumableMixin
    if ranks is None:
        trainer = base(config, network)
    else:
        ranks.require_equal("The data", data_hashes)
        trainer = joined_trainer(base, config, network, ranks)
    trainer.state_extra = {
        "model": config["model"],
        "dataset": config["dataset"],
        "options": plain(config.request),
        "config": config.as_begun,
        "fingerprint": data_hashes,
    }
    return trainer


def _resumed_request(
    state: dict[str, Any],
    model: str | None,
    dataset: str | None,
    options: Mapping[str, Any] | None,
    config_files: Iterable[str | Path],
) -> tuple[str, str, dict[str, Any]]:
    """Model, data set and options of the run to go on with."""
    extra = state["extra"]
    if "options" not in extra:
        raise InputError("This run was started by RecBole's own run_recbole, which cannot be resumed.")
    if list(config_files):
        raise InputError("`--resume` uses the options of the run it goes on with: leave `--config_files` out.")
    given = dict(options or {})
    before = VloggerConfig(extra["model"], extra["dataset"], extra["options"])
    together = {**extra["options"], **given}
    now = VloggerConfig(model or extra["model"], dataset or extra["dataset"], together)
    for key in ("model", "dataset", *given):
        if key not in RESUME_KEYS and now[key] != before[key]:
            raise InputError(
                f"`--resume` cannot change `{key}` from {before[key]!r} to {now[key]!r}; it may change "
                f"{', '.join(RESUME_KEYS)}. Start a new run instead."
            )
    return extra["model"], extra["dataset"], together


def _check_same_defaults(state: dict[str, Any], config: VloggerConfig) -> None:
    """Refuse to go on when an option file has changed, ours or the data set's: what nobody gave comes from there."""
    before, now = state["extra"].get("config", config.as_begun), config.as_begun
    changed = [
        f"`{key}` was {before.get(key)!r} and is {now.get(key)!r} now"
        for key in sorted(before.keys() | now.keys())
        if key not in (*RESUME_KEYS, *_OF_THE_MACHINE) and before.get(key) != now.get(key)
    ]
    if changed:
        path = dataset_file(config.request["data_path"], config["dataset"])
        raise InputError(
            f"Defaults have changed since the run was started: {'; '.join(changed)}. Put the option files back ({path} "
            f"or those of recbole-vagnn), or start a new run."
        )


def _check_has_best(state: dict[str, Any], checkpoint: Path) -> None:
    if state["best_valid_result"] is not None and not checkpoint.is_file():
        raise InputError(f"{checkpoint}, the best epoch so far of the run to resume, does not exist. Start a new run.")


def check_same_data(state: dict[str, Any], trainer: ResumableMixin) -> None:
    """Raise InputError unless the state was written on the trainer's data."""
    before, now = state["extra"]["fingerprint"], trainer.state_extra["fingerprint"]
    changed = [name for name in now if now[name] != before.get(name)]
    if changed:
        raise InputError(
            f"The data have changed since the run was interrupted ({', '.join(changed)} differ); it cannot be resumed."
        )


def _train(
    trainer: ResumableMixin, loaders: _Loaders, reporter: Reporter, on_epoch: Callable[[EpochRecord], None] | None
) -> None:
    def told(record: EpochRecord) -> None:
        reporter.epoch(record)
        if on_epoch is not None:
            on_epoch(record)

    trainer.on_batch, trainer.on_epoch = reporter.batch, told
    with reporter.training(trainer.epochs, trainer.history):
        trainer.fit(loaders.train, loaders.valid)


@contextmanager
def _resumable_interrupts(trainer: ResumableMixin) -> Iterator[None]:
    """Turn Ctrl-C into :class:`Interrupted`, which names the files that are kept."""
    try:
        yield
    except KeyboardInterrupt:
        best, last = Path(trainer.saved_model_file), trainer.last_state_file
        raise Interrupted(best if best.is_file() else None, last if last.is_file() else None) from None


def _evaluate(
    config: VloggerConfig, trainer: ResumableMixin, loaders: _Loaders, started: float, before: dict[str, float]
) -> Result:
    test_started = time.perf_counter()
    test = trainer.evaluate(loaders.test, load_best_model=True)
    now = time.perf_counter()
    history = trainer.history
    train_seconds = sum(record.train_seconds for record in history)
    on_gpu = config["device"].type == "cuda"
    users = getattr(loaders.test, "uid_list", None)
    train_set = loaders.datasets[0]
    if trainer.evaluator.top_items is not None:
        owners, n_vloggers = train_set.vlogger_of_item, train_set.vlogger_num - 1
        test.update(vlogger_exposure(trainer.evaluator.top_items, owners, n_vloggers, config["topk"]))
    return Result(
        model=config["model"],
        dataset=config["dataset"],
        seed=config["seed"],
        config=plain(config.final_config_dict),
        fingerprint=trainer.state_extra["fingerprint"],
        sizes=_sizes(loaders),
        valid=trainer.best_valid_result,
        test=dict(test),
        best_epoch=best_epoch(trainer),
        epochs=len(history),
        seconds={
            **before,
            "train": train_seconds,
            "valid": sum(record.valid_seconds or 0.0 for record in history),
            "test": now - test_started,
            "epoch": train_seconds / max(len(history), 1),
            "total": now - started,
        },
        peak_memory_mb=peak_memory_mb(),
        peak_gpu_memory_mb=torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
        parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        checkpoint=trainer.saved_model_file,
        versions=installed_versions(),
        history=[asdict(record) for record in history],
        per_user=dict(trainer.evaluator.per_user),
        users=train_set.id2token(train_set.uid_field, np.asarray(users)) if users is not None else _NO_USERS,
        activity=_activity(train_set)[np.asarray(users)] if users is not None else _NO_ACTIVITY,
    )


def _activity(train_set: Any) -> NDArray[np.int64]:
    """(n_users,) interactions of each user in the training split."""
    users = np.asarray(train_set.inter_feat[train_set.uid_field])
    return np.bincount(users, minlength=train_set.user_num).astype(np.int64)


def best_epoch(trainer: ResumableMixin) -> int:
    """Epoch of the checkpoint: the last evaluated one that equals the best score, as RecBole updates on ties."""
    evaluated = [record for record in trainer.history if record.valid is not None]
    metric = trainer.valid_metric
    best = [r.epoch for r in evaluated if r.valid is not None and r.valid[metric] == trainer.best_valid_score]
    return best[-1] if best else len(trainer.history) - 1


def _sizes(loaders: _Loaders) -> dict[str, int]:
    train, valid, test = loaders.datasets
    return {
        "users": train.user_num - 1,
        "items": train.item_num - 1,
        "vloggers": train.vlogger_num - 1,
        "train": len(train),
        "valid": len(valid),
        "test": len(test),
    }
