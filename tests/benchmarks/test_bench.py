"""The two commands, on tiny data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import bench
import bench_scale
import pytest
from speed import alone, data, tables

from recbole_vagnn.errors import InputError

SHORT = ["--small", "--threads", "1", "--repeats", "2", "--seconds", "0.05"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What bench.py writes for two contestants."""
    folder = tmp_path_factory.mktemp("results")
    bench.main([*SHORT, "--models", "VAGNN", "LightGCN", "--out", str(folder / "bench.json")])
    return json.loads((folder / "bench.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_every_stage_of_every_contestant_is_measured(results: dict[str, Any]) -> None:
    assert results["contestants"] == ["LightGCN", "VAGNN"]
    assert set(results["threads"]) == {"1"}
    stages = {**results["threads"]["1"], "build": results["build"]}
    for name in ("build", "step", "epoch", "evaluation"):
        assert set(stages[name]) == {"LightGCN", "VAGNN"}
        assert all(one["seconds"] > 0 for one in stages[name].values())
    assert {name for name, one in results["losses"].items() if one["agrees"]} == {"LightGCN", "VAGNN"}
    assert set(stages["sampling"]) == {"RecBole", "ours"}
    assert results["data"]["train"] == data.SMALL.interactions - 2 * data.SMALL.users
    assert set(results["load"]) == {
        "build", *(f"{name}, 1 thread" for name in ("sampling", "step", "evaluation", "epoch", "product")),
    }  # fmt: skip


def test_memory_is_that_of_a_process_of_its_own(results: dict[str, Any]) -> None:
    for one in results["memory"].values():
        assert set(one["phases"]) == {"load", "batches", "build", "step", "evaluation"}
        assert 100 < one["imports_mib"] < one["peak_mib"]
        assert one["peak_mib"] == max(one["phases"].values())


def test_the_ratios_of_the_table_are_those_of_the_file(results: dict[str, Any]) -> None:
    step = results["threads"]["1"]["step"]
    ratio = f"{step['VAGNN']['seconds'] / step['LightGCN']['seconds']:.3f}"
    row = next(line for line in tables.bench(results).splitlines() if line.startswith("| VA-GNN"))
    assert [cell.strip() for cell in row.split("|")][6] == ratio
    goal = next(one for one in results["goals"] if one["what"].startswith("step: VA-GNN"))
    assert f"{goal['measured']:.3f}" == ratio


def test_the_command_is_kept_without_the_place_of_its_results(results: dict[str, Any]) -> None:
    assert results["command"] == f"python benchmarks/bench.py {' '.join(SHORT)} --models VAGNN LightGCN"


def test_docs_are_filled_from_the_files_that_are_there(results: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    shutil.copy(bench.PAGE, page)
    (tmp_path / "bench.json").write_text(json.dumps(results), encoding="utf-8")
    before = page.read_text(encoding="utf-8")
    bench.main(["--write-docs", "--page", str(page), "--results", str(tmp_path)])
    after = page.read_text(encoding="utf-8")
    assert after == tables.fill(before, "bench", tables.bench(results))
    bench.main(["--write-docs", "--page", str(page), "--results", str(tmp_path)])
    assert page.read_text(encoding="utf-8") == after


def test_docs_without_results_are_refused_and_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    shutil.copy(bench.PAGE, page)
    with pytest.raises(InputError, match="Measure first"):
        bench.main(["--write-docs", "--page", str(page), "--results", str(tmp_path / "nowhere")])
    assert page.read_bytes() == bench.PAGE.read_bytes()


def test_a_small_profile_is_printed_and_written_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bench.main([*SHORT, "--profile", "--results", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "| a step of VA-GNN" in printed
    assert "optimiser" in printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [["--threads", "0"], ["--repeats", "0"], ["--seconds", "-1"], ["--models", "LightGNC"]]
)
def test_wrong_options_are_refused_before_anything_is_done(wrong: list[str]) -> None:
    for command in (bench, bench_scale):
        with pytest.raises(SystemExit) as ended:
            command.main(["--small", *wrong])
        assert ended.value.code == 2


# ------------------------------------------------------------------------------- bench_scale.py


def run(train: int, step: float, memory: float) -> dict[str, Any]:
    phases = {name: {"seconds": step * factor} for factor, name in enumerate(bench_scale.TIMED, 1)}
    return {"train": train, "phases": phases, "imports_mib": 400.0, "peak_mib": 400.0 + memory}


def test_exponents_are_the_slopes_of_the_logarithms() -> None:
    found = bench_scale.growth([run(10, 1, 8), run(100, 10, 16), run(1000, 1000, 32)])
    assert found["step"] == {"all": pytest.approx(1.5), "last": pytest.approx(2.0)}
    assert found["memory"] == {"all": pytest.approx(0.30103), "last": pytest.approx(0.30103)}  # log10 2


def test_growth_above_linear_and_more_than_8_gib_miss_the_goals() -> None:
    runs = {"VAGNN": [run(10, 1, 8), run(100, 10, 160), run(1000, 100, 7900)]}
    found = bench_scale.verdicts(runs, {"VAGNN": bench_scale.growth(runs["VAGNN"])}, 2)
    assert [one["met"] for one in found] == [True, False, False]
    assert found[2]["measured"] == pytest.approx(8300 / 1024)


def test_scale_measures_each_size_and_prints_its_growth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: test_memory_is_that_of_a_process_of_its_own goes the other way."""
    monkeypatch.setattr(alone, "run_in_child", lambda _script, job: alone.measure(alone.Job.from_json(job.to_json())))
    target = tmp_path / "scale.json"
    bench_scale.main([*SHORT, "--sizes", "3000", "1500", "--out", str(target)])
    found = json.loads(target.read_text(encoding="utf-8"))
    runs = found["runs"]["VAGNN"]
    assert [one["train"] for one in runs] == [1400, 2800]
    assert all(set(bench_scale.TIMED) <= set(one["phases"]) for one in runs)
    assert found["exponents"]["VAGNN"] == bench_scale.growth(runs)
    assert tables.scale(found) in capsys.readouterr().out


def test_growth_needs_two_sizes() -> None:
    with pytest.raises(SystemExit) as ended:
        bench_scale.main(["--small", "--sizes", "1000"])
    assert ended.value.code == 2


def test_a_job_survives_the_command_line() -> None:
    job = alone.Job("VAGNN", "a folder", data.SMALL, 2, 0, 3, 1.5, epoch=True)
    assert alone.Job.from_json(job.to_json()) == job


def test_a_process_that_fails_ends_the_command_with_its_code(tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text("import sys; sys.exit(3)")
    with pytest.raises(SystemExit, match="exit code 3"):
        alone.run_in_child(str(script), alone.Job("VAGNN", "", data.SMALL, 1, 0, 1, 0.0, epoch=False))
