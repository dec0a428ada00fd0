"""One experiment: options → config → data → model → training → evaluation → Result."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from recbole.data import data_preparation
from recbole.utils import ModelType, get_trainer, init_logger, init_seed

from recbole_vagnn import registry
from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.data.fingerprint import fingerprint
from recbole_vagnn.errors import InputError
from recbole_vagnn.progress import Reporter
from recbole_vagnn.result import Result, installed_versions, peak_memory_mb, plain
from recbole_vagnn.trainer import ResumableMixin, read_last_state, resumable, resume_files

# What may be changed when a run is resumed: anything else would make it another run.
RESUME_KEYS = ("epochs", "stopping_step", "show_progress", "use_gpu", "gpu_id", "torch_threads")


class Interrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C.

    Attributes:
        checkpoint: best epoch so far, or None if no epoch was evaluated.
        last_state: file that ``resume`` goes on from.
    """

    def __init__(self, checkpoint: Path | None, last_state: Path) -> None:
        super().__init__("interrupted")
        self.checkpoint = checkpoint
        self.last_state = last_state


@dataclass
class _Loaders:
    train: Any
    valid: Any
    test: Any

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
    state = checkpoint = None
    if resume is not None:
        last, checkpoint = resume_files(resume)
        state = read_last_state(last)
        model, dataset, options = _resumed_request(state, model, dataset, options, config_files)
        config_files = ()
    config = VloggerConfig(model, dataset, options, config_files)
    reporter = Reporter(config, quiet)
    _set_up_process(config)
    loaders = _load(config)
    load_seconds = time.perf_counter() - started
    network = _build_model(config, loaders)
    trainer = _build_trainer(config, network, loaders)
    if state is not None:
        _check_same_data(state, trainer)
        trainer.restore(state, str(checkpoint))
    reporter.loaded(*loaders.datasets)
    _train(trainer, loaders, reporter)
    result = _evaluate(config, trainer, loaders, started, load_seconds)
    if result_file is not None:
        result.write(result_file)
    reporter.finished(result)
    return result


# --- steps ------------------------------------------------------------------------------------------------------


def _set_up_process(config: VloggerConfig) -> None:
    if config["torch_threads"]:
        torch.set_num_threads(config["torch_threads"])
    root = logging.getLogger()
    for handler in root.handlers[:]:  # RecBole's basicConfig does nothing while handlers are there
        root.removeHandler(handler)
        handler.close()
    init_logger(config)
    for handler in root.handlers:  # details go to the log file, the screen belongs to the reporter
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.WARNING)
    root.info(config)
    # RecBole's own code, on current versions; nothing a user could act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"recbole\.")
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"recbole\.")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"recbole\.")


def _load(config: VloggerConfig) -> _Loaders:
    if config["MODEL_TYPE"] not in (ModelType.GENERAL, ModelType.TRADITIONAL):
        raise InputError(f"{config['model']} is not a general recommender; use RecBole's own run_recbole for it.")
    init_seed(config["seed"], config["reproducibility"])
    dataset = registry.create_dataset(config)
    logging.getLogger().info(dataset)
    return _Loaders(*data_preparation(config, dataset))


def _build_model(config: VloggerConfig, loaders: _Loaders) -> Any:
    init_seed(config["seed"], config["reproducibility"])
    network = registry.model_class(config["model"])(config, loaders.train._dataset).to(config["device"])
    logging.getLogger().info(network)
    return network


def _build_trainer(config: VloggerConfig, network: Any, loaders: _Loaders) -> ResumableMixin:
    base = get_trainer(config["MODEL_TYPE"], config["model"])
    trainer: ResumableMixin = (base if issubclass(base, ResumableMixin) else resumable(base))(config, network)
    trainer.state_extra = {
        "model": config["model"],
        "dataset": config["dataset"],
        "options": plain(config.request),
        "fingerprint": fingerprint(*loaders.datasets),
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
    given = dict(options or {})
    for name, value in (("model", model), ("dataset", dataset)):
        if value is not None:
            given[name] = value
    if list(config_files):
        raise InputError("`--resume` uses the options of the run it goes on with: leave `--config_files` out.")
    for key, value in given.items():
        before = extra.get(key) or extra["options"].get(key)
        if key not in RESUME_KEYS and value != before:
            raise InputError(
                f"`--resume` cannot change `{key}`; it may change {', '.join(RESUME_KEYS)}. Start a new run instead."
            )
    return extra["model"], extra["dataset"], {**extra["options"], **given}


def _check_same_data(state: dict[str, Any], trainer: ResumableMixin) -> None:
    before, now = state["extra"]["fingerprint"], trainer.state_extra["fingerprint"]
    changed = [name for name in now if now[name] != before.get(name)]
    if changed:
        raise InputError(
            f"The data have changed since the run was interrupted ({', '.join(changed)} differ); it cannot be resumed."
        )


def _train(trainer: ResumableMixin, loaders: _Loaders, reporter: Reporter) -> None:
    trainer.on_batch, trainer.on_epoch = reporter.batch, reporter.epoch
    try:
        with reporter.training(trainer.epochs, trainer.history):
            trainer.fit(loaders.train, loaders.valid)
    except KeyboardInterrupt:
        best = Path(trainer.saved_model_file)
        raise Interrupted(best if best.is_file() else None, trainer.last_state_file) from None


def _evaluate(
    config: VloggerConfig, trainer: ResumableMixin, loaders: _Loaders, started: float, load_seconds: float
) -> Result:
    test_started = time.perf_counter()
    test = trainer.evaluate(loaders.test, load_best_model=True)
    now = time.perf_counter()
    history = trainer.history
    train_seconds = sum(record.train_seconds for record in history)
    on_gpu = config["device"].type == "cuda"
    users = getattr(loaders.test, "uid_list", None)
    train_set = loaders.datasets[0]
    return Result(
        model=config["model"],
        dataset=config["dataset"],
        seed=config["seed"],
        config=plain(config.final_config_dict),
        fingerprint=trainer.state_extra["fingerprint"],
        sizes=_sizes(loaders),
        valid=trainer.best_valid_result,
        test=dict(test),
        best_epoch=_best_epoch(trainer),
        epochs=len(history),
        seconds={
            "load": load_seconds,
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
        users=train_set.id2token(train_set.uid_field, list(map(int, users))) if users is not None else None,
    )


def _best_epoch(trainer: ResumableMixin) -> int:
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
