"""Figures: what is drawn is right, readable with many models, and the same bytes every time."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from scipy import stats

from recbole_vagnn.experiments import figures
from recbole_vagnn.experiments.figures import Picture, Users, looks
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.summary import summarise
from tests.experiments.cases import MODELS, value, write_records

CROWD = tuple(f"Model{i}" for i in range(17))


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return write_records(tmp_path_factory.mktemp("records"), datasets=["films"])


def drawn(records: Records, ours: tuple[str, ...] = ("VAGNN",)) -> dict[str, Picture]:
    (summary,) = summarise(records.runs, ours, MODELS)
    users = figures.average_seeds(dict(records.per_user()))
    pictures = figures.draw(summary, users, dict(records.curves()), looks(summary.models, ours))
    return {picture.kind: picture for picture in pictures}


def colors(png: bytes) -> set[str]:
    """Colours of at least 20 pixels, as #RRGGBB."""
    pixels = (imread(BytesIO(png))[:, :, :3] * 255).round().astype(np.int64) @ [0x10000, 0x100, 1]
    found, counts = np.unique(pixels, return_counts=True)
    return {f"#{color:06X}" for color in found[counts >= 20]}


def test_every_kind_is_drawn_with_the_colour_of_every_model(records: Records) -> None:
    pictures = drawn(records)
    assert list(pictures) == ["means", "curves", "cost", "activity"]
    wanted = {look.color.upper() for look in looks(MODELS, ["VAGNN"]).values()}
    for picture in pictures.values():
        image = imread(BytesIO(picture.png))
        assert image.shape[1] > 1200
        assert image.shape[0] > 300
        assert wanted <= colors(picture.png), picture.kind
    assert "95 % t interval over users" in pictures["means"].caption
    assert "band: lowest to highest seed" in pictures["curves"].caption


def test_equal_records_give_equal_bytes_and_others_do_not(records: Records, tmp_path: Path) -> None:
    first, again = drawn(records), drawn(records)
    assert all(first[kind].png == again[kind].png for kind in first)
    fewer = drawn(write_records(tmp_path, datasets=["films"], without=[("films", "SimGCL", 2022)]))
    assert all(first[kind].png != fewer[kind].png for kind in first)


def test_a_users_matplotlib_settings_do_not_matter(records: Records) -> None:
    import matplotlib

    expected = drawn(records)["means"].png
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "lines.linewidth": 9}):
        assert drawn(records)["means"].png == expected


def test_a_model_has_one_look_that_no_other_has() -> None:
    found = looks(CROWD, ["Model3", "Model16"])
    assert list(found) == list(CROWD)
    assert len({(look.color, look.marker) for look in found.values()}) == len(CROWD)
    assert len({(look.color, look.line) for look in found.values()}) == len(CROWD)
    ours = {found[name].color for name in ("Model3", "Model16")}
    assert ours.isdisjoint(look.color for look in found.values() if not look.ours)
    assert looks(CROWD, ["Model3", "Model16"]) == found


def test_colours_differ_in_lightness_or_hue_for_the_colour_blind() -> None:
    """Simulated deuteranopia (Viénot 1999): all pairs of colours stay apart."""
    palette = [look.color for look in looks(CROWD[:9], ["Model0", "Model1"]).values()]
    linear = np.array([[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in palette]) ** 2.2
    deuteranopia = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    seen = np.clip(linear @ deuteranopia.T, 0, 1) ** (1 / 2.2)
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=2)[np.triu_indices(len(seen), 1)]
    assert distances.min() > 0.08


def test_seeds_are_averaged_for_each_user_whatever_the_order_of_rows() -> None:
    first = pd.DataFrame({"user": ["b", "a"], "history": [9, 3], "recall@10": [1.0, 0.0]})
    second = pd.DataFrame({"user": ["a", "b"], "history": [3, 9], "recall@10": [1.0, 0.5]})
    users = figures.average_seeds({("d", "A", 1): first, ("d", "A", 2): second, ("d", "B", 1): first})
    assert users is not None
    assert users.means["A"]["recall@10"].tolist() == [0.5, 0.75]  # of a and b; all in one order
    assert users.means["B"]["recall@10"].tolist() == [0.0, 1.0]
    assert users.history.tolist() == [3, 9]
    assert figures.average_seeds({}) is None


def test_bars_are_ordered_by_the_first_metric_and_equal_models_as_in_the_plan() -> None:
    means = {"A": [0.0, 0.5], "B": [1.0, 1.0], "C": [0.5, 0.0], "D": [1.0, 0.0]}
    users = Users(pd.Series([3, 4]), {model: pd.DataFrame({"recall@10": values}) for model, values in means.items()})
    assert figures.best_first(users, list("ABCD"), "recall@10") == ["B", "D", "A", "C"]


def test_seconds_of_cost_and_curves_begin_with_building_the_model(records: Records) -> None:
    (summary,) = summarise(records.runs)
    assert figures._building(summary).to_dict() == dict.fromkeys(summary.means.index, 0.5)
    (older,) = summarise(records.runs.drop(columns="build_seconds"))
    assert figures._building(older).to_dict() == dict.fromkeys(older.means.index, 0.0)
    curves, styles = dict(records.curves()), looks(MODELS, [])
    pictures = (figures.draw(one, None, curves, styles) for one in (summary, older))
    for one, other in zip(*pictures, strict=True):
        assert one.png != other.png, one.kind


def test_interval_is_that_of_the_t_distribution(records: Records) -> None:
    users = figures.average_seeds(dict(records.per_user()))
    assert users is not None
    values = users.means["EASE"]["recall@10"].to_numpy()
    mean, half = figures.mean_and_interval(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert mean == pytest.approx(value("films", "EASE", "recall@10"))
    assert figures.mean_and_interval(np.array([0.5])) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("history", "groups"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], [0, 0, 1, 1, 2, 2, 3, 3]),
        ([8, 1, 7, 2, 6, 3, 5, 4], [3, 0, 3, 0, 2, 1, 2, 1]),
        ([3, 3, 3, 3], [0, 0, 0, 0]),
        ([3, 3, 3, 3, 3, 9], [0, 0, 0, 0, 0, 1]),
        ([5], [0]),
    ],
)
def test_activity_groups_are_quartiles_and_keep_equal_users_together(history: list[int], groups: list[int]) -> None:
    assert figures.activity_groups(np.array(history)).tolist() == groups


def test_a_learning_curve_is_the_mean_while_half_of_the_seeds_train() -> None:
    axes = Figure().subplots()
    x = np.arange(1.0, 6.0)
    seeds = [(x[:2], np.array([1.0, 2.0])), (x[:3], np.array([3.0, 4.0, 5.0])), (x, np.array([5.0, 6, 7, 8, 9]))]
    figures._curve(axes, seeds, looks(["A"], [])["A"])
    (line,) = axes.get_lines()
    assert line.get_xdata().tolist() == [1, 2, 3]
    assert line.get_ydata().tolist() == [3, 4, 6]  # at the third epoch two seeds are left: (5 + 7) / 2
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1, 7)


def test_one_epoch_is_a_point() -> None:
    axes = Figure().subplots()
    figures._curve(axes, [(np.array([1.0]), np.array([y])) for y in (0.25, 0.75)], looks(["A"], [])["A"], log=True)
    (line,) = axes.get_lines()
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([1.0], [0.5])
    assert line.get_marker() == "o"


def test_the_metric_of_early_stopping_is_found(records: Records) -> None:
    (summary,) = summarise(records.runs)
    assert figures._stopping_metric(dict(records.curves()), summary) == "Recall@10"
    other = {key: curve.assign(valid=curve["valid"] / 2) for key, curve in records.curves()}
    assert figures._stopping_metric(other, summary) == "metric of early stopping"


def test_headline_metrics() -> None:
    names = ["mrr@20", "hit@10", "ndcg@10", "recall@10", "recall@20"]
    assert figures.headline(names) == ["recall@10", "ndcg@10"]
    assert figures.headline(["mrr@5", "hit@5", "map@5"]) == ["mrr@5", "hit@5"]
    assert figures.headline([]) == []


def test_records_without_users_curves_or_seconds_lack_those_figures(records: Records) -> None:
    (summary,) = summarise(records.runs.drop(columns="train_seconds"))
    assert figures.draw(summary, None, {}, looks(MODELS, [])) == []
    users = Users(pd.Series([3, 4]), {"Pop": pd.DataFrame({"another@10": [0.0, 1.0]})})
    assert figures.draw(summary, users, {}, looks(MODELS, [])) == []


def test_odd_labels_and_no_training_time_are_drawn(tmp_path: Path) -> None:
    models = ("$x_1$", "A & B <c>", "VAGNN")
    records = write_records(tmp_path, datasets=["a $ b_c$"], models=models, seeds=[1], users=8, train_seconds=0.0)
    assert len(drawn(records)) == 4


def test_names_are_written_beside_lonely_points_only() -> None:
    """Points in pixels far apart are named; two that overlap are left to the legend."""
    figure = Figure(figsize=(9, 4.6))
    axes = figure.subplots()
    table = pd.DataFrame({"x": [0.1, 0.5, 0.5001], "y": [0.1, 0.5, 0.5]}, index=["Far", "Near1", "Near2"])
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figures._label_points(figure, axes, table, looks(table.index, []))
    assert [text.get_text() for text in axes.texts] == ["Far"]
