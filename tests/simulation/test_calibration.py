from __future__ import annotations

import numpy as np
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.simulation.calibration import (
    calibrated_activity,
    calibrated_tastes,
    calibrated_vloggers,
    read_release,
)
from recbole_vagnn.simulation.options import SimulationOptions
from recbole_vagnn.simulation.platform import simulate, sizes_of
from tests.simulation.cases import REAL, blocks_release, write_release

VIDEOS = "0\t0\n1\t2\n0\t1\n"
PAIRS = "0 1 0\n\n2 1 1"  # a blank line, a repeat, no newline at the end


def test_a_release_is_read_exactly(tmp_path):
    release = read_release(write_release(tmp_path / "toy", VIDEOS, PAIRS, "4\t3\t2"))
    assert release.name == "toy"
    assert release.vlogger_of.tolist() == [0, 0, 1]
    assert list(zip(release.pairs.user, release.pairs.vlogger, strict=True)) == [(0, 0), (0, 1), (2, 1)]
    assert (release.users, release.vloggers) == (4, 2)
    assert release.audience.tolist() == [1, 2]
    assert [path.name for path in release.files] == [
        "vlogger_video_data.txt",
        "user_vlogger_data2.txt",
        "data_size.txt",
    ]


def test_without_sizes_the_largest_ids_count(tmp_path):
    release = read_release(write_release(tmp_path, VIDEOS, "0 1\n5 3\n"))
    assert (release.users, release.vloggers) == (6, 4)


@pytest.mark.parametrize(
    ("videos", "pairs", "sizes", "message"),
    [
        ("0\t0\n0 x\n", PAIRS, None, r"vlogger_video_data.txt, line 2: '0 x' is not whole numbers"),
        ("0\t0\n0\t-1\n", PAIRS, None, r"vlogger_video_data.txt, line 2"),
        ("0\t0\t1\n", PAIRS, None, r"vlogger_video_data.txt, line 1: 3 numbers"),
        ("0\t0\n1\t0\n", PAIRS, None, "video 0 has 2 vloggers"),
        ("0\t0\n1\t2\n", PAIRS, None, "1 of 3 videos have no line, the first is 1"),
        (VIDEOS, PAIRS, "4 4 2", "1 of 4 videos have no line, the first is 3"),
        (VIDEOS, "0 1\n9 1\n", "4 3 2", r"user_vlogger_data2.txt, line 2: user 9 is beyond the 4"),
        (VIDEOS, "0 2\n", "4 3 2", r"user_vlogger_data2.txt, line 1: vlogger 2 is beyond the 2"),
        ("0\t3\n", PAIRS, "4 3 2", r"vlogger_video_data.txt, line 1: video 3 is beyond the 3"),
        (VIDEOS, "0\n", None, "user_vlogger_data2.txt has no pairs"),
        ("", PAIRS, None, "vlogger_video_data.txt has no pairs"),
        (VIDEOS, PAIRS, "4 3", "must hold one line"),
        (VIDEOS, PAIRS, "4 3 2\n1 1 1\n", "must hold one line"),
        (VIDEOS, PAIRS, "4 0 2\n", "must hold one line"),
    ],
)
def test_malformed_releases_are_refused(tmp_path, videos, pairs, sizes, message):
    with pytest.raises(InputError, match=message):
        read_release(write_release(tmp_path, videos, pairs, sizes))


def test_a_missing_file_is_named(tmp_path):
    folder = write_release(tmp_path, VIDEOS, PAIRS)
    (folder / "user_vlogger_data2.txt").unlink()
    with pytest.raises(InputError, match=r"user_vlogger_data2.txt does not exist"):
        read_release(folder)


def test_topics_are_the_groups_of_the_pairs(tmp_path):
    release = blocks_release(tmp_path)
    for seed in range(5):
        vloggers = calibrated_vloggers(release, 2, seed)
        cluster = vloggers.topics.argmax(axis=1)
        assert len(set(cluster[:4])) == len(set(cluster[4:])) == 1
        assert cluster[0] != cluster[4]
        assert vloggers.topics.max(axis=1) == pytest.approx(0.8 + 0.2 * vloggers.topic_popularity[cluster])
        assert vloggers.appeal.tolist() == (release.audience + 1.0).tolist()


def test_the_most_followed_topic_comes_first(tmp_path):
    videos = "".join(f"{v % 4}\t{v}\n" for v in range(40))
    release = read_release(write_release(tmp_path, videos, "".join(f"{u} 2 3\n" for u in range(9)) + "9 0 1\n10 0 1\n"))
    vloggers = calibrated_vloggers(release, 2, seed=0)
    assert vloggers.topics.argmax(axis=1).tolist() == [1, 1, 0, 0]
    assert vloggers.topic_popularity.tolist() == pytest.approx([21 / 28, 7 / 28])


def test_tastes_agree_with_loyalties(tmp_path):
    release = blocks_release(tmp_path)
    vloggers = calibrated_vloggers(release, 2, seed=0)
    tastes = calibrated_tastes(release, vloggers, seed=0)
    own = vloggers.topics[4 * (np.arange(20) % 2)].argmax(axis=1)
    # Half of a tied user's taste is the vloggers' mean topics; the rest is positive.
    assert (tastes[np.arange(20), own] > 0.98 * 0.5 * vloggers.topics.max(axis=1).min()).all()
    assert tastes.sum(axis=1) == pytest.approx(np.ones(23))


def test_activity_rises_with_the_number_of_pairs(tmp_path):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 60, 500)
    text = "".join(f"{u} {' '.join(map(str, rng.permutation(60)[:n]))}\n" for u, n in enumerate(counts))
    videos = "".join(f"{v % 60}\t{v}\n" for v in range(1_200))
    release = read_release(write_release(tmp_path, videos, text, "500 1200 60"))
    activity = calibrated_activity(release, sizes_of(SimulationOptions(interactions=15_000), release), seed=0)
    assert activity.sum() == 15_000
    assert np.corrcoef(np.argsort(np.argsort(counts)), np.argsort(np.argsort(activity)))[0, 1] > 0.6
    assert len(set(activity[counts == 20])) > 1  # with noise


def test_a_calibrated_platform_keeps_map_and_pairs(tmp_path):
    release = blocks_release(tmp_path)
    p = simulate(SimulationOptions(topics=2, interactions=80, vlogger_effect=1.0), release)
    assert p.catalogue.vlogger_of is release.vlogger_of
    assert (p.sizes.users, p.sizes.videos, p.sizes.vloggers) == (23, 80, 8)
    assert p.loyalties.added == 0
    tied = p.loyalties.pairs.user < 20
    assert np.array_equal(p.loyalties.pairs.user[tied], release.pairs.user)
    assert np.array_equal(p.loyalties.pairs.vlogger[tied], release.pairs.vlogger)
    assert (np.bincount(p.loyalties.pairs.user)[20:] >= 3).all()
    assert p.on_loyal.all()


def test_added_pairs_are_counted_and_told(tmp_path):
    release = blocks_release(tmp_path)
    p = simulate(SimulationOptions(topics=2, interactions=440), release)
    size = np.bincount(p.loyalties.pairs.user)
    added = int((size[:20] - 3).sum())
    assert added > 0
    assert p.loyalties.added == added
    assert any(f"{added} loyal pairs were added to the release's" in remark for remark in p.remarks())


def test_the_smallest_release_works(tmp_path):
    videos = "".join(f"0\t{v}\n" for v in range(12))
    release = read_release(write_release(tmp_path, videos, "0 0\n", "2 12 1"))
    p = simulate(SimulationOptions(interactions=6, follow_noise=0.0), release)
    assert len(p.views.user) == 6


@pytest.mark.parametrize(
    ("name", "users", "videos", "vloggers", "pairs", "views"),
    [("takatak", 14_571, 13_133, 912, 262_548, 1_000_000), ("wechat", 19_737, 25_976, 2_088, 32_444, 1_354_540)],
)
def test_the_real_files(name, users, videos, vloggers, pairs, views):
    if not (REAL / name).is_dir():
        pytest.skip("the release is not here")
    release = read_release(REAL / name)
    assert (release.users, len(release.vlogger_of), release.vloggers) == (users, videos, vloggers)
    assert len(release.pairs.user) == pairs
    assert sizes_of(SimulationOptions(), release).interactions == views
    first = calibrated_vloggers(release, 20, seed=1)
    again = calibrated_vloggers(release, 20, seed=1)
    assert np.array_equal(first.topics, again.topics)
    p = simulate(SimulationOptions(interactions=3 * users, vlogger_effect=1.0), release)
    kept = p.loyalties.pairs.user * vloggers + p.loyalties.pairs.vlogger
    assert np.isin(release.pairs.user * vloggers + release.pairs.vlogger, kept).all()
    assert p.on_loyal.all()
