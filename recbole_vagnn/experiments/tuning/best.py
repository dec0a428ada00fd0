"""best.yaml: the options that a search found, for ``--config_files`` and for ``benchmark --tuned``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_vagnn.experiments.tuning.store import SearchRecord, TrialRecord, write_file
from recbole_vagnn.experiments.tuning.values import exact

BEST = "best.yaml"


def options(record: SearchRecord) -> dict[str, Any] | None:
    """Options of the winner, those that all trials shared included; None if no trial has a score."""
    return None if record.best is None else {**record.options, **record.best.config}


def best_text(record: SearchRecord) -> str | None:
    """The file: options alone, and comments that say where they come from; None if no trial has a score.

    A value reads back as the same value and type, by our reader, RecBole's and any other of YAML 1.1.
    """
    found, winner = options(record), record.best
    if found is None or winner is None:
        return None
    comments = [" ".join(line.split()) for line in _origin(record, winner)]
    lines = [*(f"# {comment}" for comment in comments), *(f"{key}: {exact(value)}" for key, value in found.items())]
    return "\n".join(lines) + "\n"


def _origin(record: SearchRecord, winner: TrialRecord) -> list[str]:
    budget, first = record.budget, f", {record.start_name}" if winner is record.start else ""
    epoch = None if winner.best_epoch is None else winner.best_epoch + 1
    return [
        f"{record.name} on {record.dataset}: validation {record.metric} {winner.score!r}",
        f"trial {winner.number} ({winner.trial}{first}) of {len(record.trials)}, best epoch {epoch}",
        f"search {budget.get('search', 'unknown')}, seed {budget.get('seed', 'unknown')}, {budget.get('date', '')}",
        f"space {record.space.origin}",
    ]


def write_best(record: SearchRecord, folder: Path) -> list[Path]:
    """Write best.yaml into a folder; without a winner there is none, and one of before is removed."""
    text, path = best_text(record), folder / BEST
    if text is None:
        path.unlink(missing_ok=True)
        return []
    return [write_file(path, text)]


def write_tuned(record: SearchRecord, directory: Path) -> list[Path]:
    """Write ``directory/DATASET/LABEL.yaml``, which ``recbole-vagnn benchmark --tuned directory`` reads.

    Returns:
        the file; none without a winner.
    """
    text = best_text(record)
    return [] if text is None else [write_file(directory / record.dataset / f"{record.name}.yaml", text)]
