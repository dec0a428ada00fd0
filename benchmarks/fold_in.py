"""Users folded in without training, beside a model that was trained with them.

    python benchmarks/fold_in.py --model VAGNN --dataset ml-100k-director

A share of the users is taken out of the data set, a model is trained without them, and they are folded in by their
training history. The same users are also recommended to by a model trained with everybody, and by popularity. All are
judged by Recall and NDCG of the held-out test item among ten, training and validation items left out.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import recbole_vagnn
from recbole_vagnn.serving.checkpoint import TEST, TRAIN, VALID
from recbole_vagnn.serving.recommender import Recommender

K = 10


def main() -> None:
    """Train twice, fold in, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="VAGNN")
    parser.add_argument("--dataset", default="ml-100k-director")
    parser.add_argument("--data_path", default="dataset")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--share", type=float, default=0.1, help="share of the users that are folded in")
    parser.add_argument("--seed", type=int, default=2020)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        options = {"epochs": given.epochs, "torch_threads": given.threads, "seed": given.seed, "keep_pth": False}
        options |= {"checkpoint_dir": scratch, "show_progress": False}
        source = {**options, "data_path": given.data_path}
        with_all = recbole_vagnn.load(recbole_vagnn.run(given.model, given.dataset, source, quiet=True).checkpoint)
        chosen = draw(with_all, given.share, given.seed)
        take_out(Path(given.data_path) / given.dataset, Path(scratch) / "fewer" / given.dataset, chosen)
        fewer = {**options, "data_path": str(Path(scratch) / "fewer")}
        without = recbole_vagnn.load(recbole_vagnn.run(given.model, given.dataset, fewer, quiet=True).checkpoint)
        table = compare(with_all, without, chosen)
    print(f"{given.model} on {given.dataset}: {len(chosen)} users")
    print(table.to_string(float_format="{:.4f}".format))


def draw(recommender: Recommender, share: float, seed: int) -> list[str]:
    """Original ids of users that have a test item."""
    users = np.array(recommender.checkpoint.users.all_ids().to_pylist())
    tested = [bool(splits_of(recommender, row)[TEST]) for row in range(len(users))]
    pool = users[tested]
    return np.random.default_rng(seed).choice(pool, round(share * len(pool)), replace=False).tolist()


def splits_of(recommender: Recommender, row: int) -> dict[int, list[str]]:
    """Original ids of a user's training, validation and test videos."""
    seen = recommender.checkpoint.history.seen
    videos, split = seen.of(row, "videos"), seen.of(row, "split")
    return {code: recommender.checkpoint.videos.ids(videos[split == code]) for code in (TRAIN, VALID, TEST)}


def take_out(source: Path, target: Path, users: list[str]) -> None:
    """Copy a data set without some users' interactions and follows."""
    target.mkdir(parents=True)
    for path in source.iterdir():
        if path.suffix not in (".inter", ".item", ".follow", ".yaml"):
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix in (".inter", ".follow"):
            header, *lines = text.splitlines(keepends=True)
            gone = set(users)
            column = [name.partition(":")[0] for name in header.rstrip("\n").split("\t")].index(
                "user_id" if path.suffix == ".inter" else "follow_user_id"
            )
            text = header + "".join(line for line in lines if line.rstrip("\n").split("\t")[column] not in gone)
        (target / path.name).write_text(text, encoding="utf-8")


def compare(with_all: Recommender, without: Recommender, users: list[str]) -> pd.DataFrame:
    """Recall and NDCG at 10 of each way, and how many of its ten the retrained model recommends too."""
    known = set(without.checkpoint.videos.all_ids().to_pylist())
    found: dict[str, list[Any]] = {"retrained with them": [], "folded in": [], "popularity": []}
    for user in users:
        splits = splits_of(with_all, int(with_all.checkpoint.users.require([user])[0]))
        late = set(splits[VALID])
        history = [video for video in splits[TRAIN] if video in known]
        retrained = with_all.recommend([user], K, exclude_seen="history")["video"].tolist()
        folded = first(without.recommend_from(history, K + len(late))["video"], late)
        popular = first(
            without.recommend(["a user nobody knows"], K + len(history) + len(late))["video"], late | set(history)
        )
        for name, videos in zip(found, (retrained, folded, popular), strict=True):
            ranks = [videos.index(video) for video in splits[TEST] if video in videos]
            gain = sum(1 / np.log2(rank + 2) for rank in ranks)
            found[name].append((len(ranks), gain, len(set(videos) & set(retrained)) / K))
    columns = [f"recall@{K}", f"ndcg@{K}", "of the retrained list"]
    return pd.DataFrame({name: np.mean(rows, axis=0) for name, rows in found.items()}, index=columns).T


def first(videos: Any, left_out: set[str]) -> list[str]:
    """The first ten that are not left out."""
    return [video for video in videos if video not in left_out][:K]


if __name__ == "__main__":
    main()
