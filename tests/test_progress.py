"""What a person sees while a model trains."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console

from recbole_vagnn import progress
from recbole_vagnn.progress import Reporter
from recbole_vagnn.trainer import EpochRecord
from tests.helpers import make_config
from tests.runs import write_toy


def test_a_terminal_shows_a_bar_with_epoch_score_and_best_on_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def terminal(quiet: bool) -> Console:
        return Console(quiet=quiet, force_terminal=True, width=80, height=20)

    monkeypatch.setattr(progress, "Console", terminal)
    write_toy(tmp_path)
    reporter = Reporter(make_config(tmp_path, {"show_progress": True, "topk": [10]}), quiet=False)
    with reporter.training(4, []):
        reporter.batch(1, 2)
        for epoch, score in enumerate((0.3, 0.2)):
            record = EpochRecord(epoch, 0.1, {"bpr": 0.5}, 0.1, {"recall@10": score})
            reporter.epoch(record)
        shown = reporter._progress
        assert shown is not None
        assert shown.tasks[0].completed == 2
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().out)
    assert "epoch 1/4" in lines
    assert "epoch 2/4  Recall@10 0.2000 (best 0.3000, epoch 1)" in lines
