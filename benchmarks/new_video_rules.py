"""Ways to rank videos without training interactions, compared on draws that the study of new videos does not use.

    python benchmarks/new_video_rules.py --dataset ml-100k-director --epochs 30

VA-GNN is trained once for each draw of new videos, and every rule is measured on the same parameters. The rule
"mean of final vectors" is the option `new_videos: vlogger`; docs/cold_start.md says why.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recbole_vagnn.experiments.execute import execute
from recbole_vagnn.experiments.plan import Condition, Contestant, Plan
from recbole_vagnn.experiments.probe import Probe, Trained
from recbole_vagnn.experiments.studies import new_video_rankings as rankings
from recbole_vagnn.models.new_videos import VloggerMeans
from recbole_vagnn.models.vagnn import VAGNN

_SHARE = 0.2
_COLUMNS = {
    (rankings.NEW_AMONG_NEW, "recall@10"): "new among new R@10",
    (rankings.NEW_AMONG_NEW, "ndcg@50"): "N@50",
    (rankings.NEW_AMONG_ALL, "recall@10"): "new among all R@10",
    (rankings.NEW_AMONG_ALL, "new_share"): "new in top 10",
    (rankings.KNOWN_AMONG_ALL, "recall@10"): "known R@10",
}


def main() -> None:
    """Train on each draw, print a table for each and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-100k-director")
    parser.add_argument("--data_path", default="dataset")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--draws", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    tables = []
    for draw in given.draws:
        plan = Plan(
            (Contestant("VAGNN", "VAGNN"),),
            (given.dataset,),
            options={"epochs": given.epochs},
            condition=Condition(f"draw-{draw}", {"new_video_share": _SHARE, "new_video_seed": draw}),
            probe=Probe("__main__:measure"),
        )
        record = execute(next(plan.jobs()), Path(given.data_path).resolve(), given.threads)
        tables.append(summarise(record.measured[rankings.RANKINGS]))
        print(f"\n{given.dataset}, draw {draw}, best epoch {record.row['best_epoch']}")
        print(tables[-1].to_string(float_format="{:.4f}".format), flush=True)
    print(f"\n{given.dataset}, mean of {len(tables)} draws")
    print((sum(tables) / len(tables)).to_string(float_format="{:.4f}".format))


def measure(trained: Trained) -> dict[str, pd.DataFrame]:
    """The probe: every rule on one trained model."""
    users, candidates = rules(trained)
    by = {name: rankings.inner_product(users, items) for name, items in candidates.items()}
    by["random"] = lambda ids: torch.zeros(len(ids), trained.train.item_num)
    return {rankings.RANKINGS: rankings.rank(trained, by)}


@torch.no_grad()
def rules(trained: Trained) -> tuple[Tensor, dict[str, Tensor]]:
    """Vectors of users, and for each rule those of items."""
    model: VAGNN = trained.model
    users, videos, vloggers = model._joined_views()
    interactions, owner = trained.train.interactions(), trained.train.vlogger_of_item
    means = VloggerMeans(interactions, owner)
    every, new = torch.arange(model.n_items), means.videos
    final = model.compute_vectors()[1]
    of_vlogger = final.clone()
    of_vlogger[new] = vloggers[model.vlogger_of[new]]
    return users, {
        "own vectors": final,
        "vlogger's vectors": of_vlogger,
        "mean of views": model._item_vectors(means.fill(videos), vloggers, every),
        "mean of final vectors": means.fill(final),
        "… weighted by interactions": weighted(
            means, final, torch.from_numpy(np.bincount(interactions.indices, minlength=len(owner)))
        ),
    }


def weighted(means: VloggerMeans, final: Tensor, counts: Tensor) -> Tensor:
    """Mean of final vectors weighted by training interactions, from two plain means: Σ n x / Σ n."""
    weights = counts.to(final.dtype).unsqueeze(1)
    filled = final.clone()
    new = means.videos
    filled[new] = means.fill(weights * final)[new] / means.fill(weights)[new]
    return filled


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over users of what matters, a row for each rule."""
    means = table.groupby(["rule", "question"], sort=False)[["recall@10", "ndcg@50", "new_share"]].mean()
    columns = {name: means.xs(question, level="question")[metric] for (question, metric), name in _COLUMNS.items()}
    return pd.DataFrame(columns).loc[list(dict.fromkeys(table["rule"]))]


if __name__ == "__main__":
    main()
