"""What a search on a cluster moves over the network: bytes of data, of a checkpoint and of a report.

Run: python benchmarks/traffic.py VAGNN ml-100k-director [douban-book …]

Data is what ``recbole-vagnn tune`` puts into Ray's object store, from where each machine fetches it once; its files are
what ``recbole-vagnn benchmark`` and the winners' runs put there. A checkpoint is the state after one epoch.
"""

from __future__ import annotations

import pickle
import sys
import tempfile
from pathlib import Path

from recbole_vagnn import registry
from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.experiments.cluster import read_files
from recbole_vagnn.experiments.tuning.trial import report_of
from recbole_vagnn.fit import Evaluation, fit, load

DATA_PATH = Path("dataset").resolve()


def sizes(model: str, dataset: str) -> dict[str, int]:
    """Bytes of each kind."""
    registry.prepare_embedded(dataset, str(DATA_PATH / dataset))
    found = {"files": sum(map(len, read_files(DATA_PATH / dataset).values()))}
    with tempfile.TemporaryDirectory() as folder:
        options = {"data_path": str(DATA_PATH), "checkpoint_dir": folder, "epochs": 1, "show_progress": False}
        config = VloggerConfig(model, dataset, options)
        data = load(config)
        found["data"] = len(data.to_bytes())

        def measure(evaluation: Evaluation) -> None:
            state = Path(folder, "state")
            evaluation.save(state)
            found["checkpoint"] = state.stat().st_size
            found["report"] = len(pickle.dumps(report_of(evaluation)))

        fit(config, data, measure)
    return found


def main() -> None:
    """Print a line for each data set."""
    model, *datasets = sys.argv[1:]
    for dataset in datasets:
        found = sizes(model, dataset)
        print(f"{model} on {dataset}: " + ", ".join(f"{name} {size:,} bytes" for name, size in found.items()))


if __name__ == "__main__":
    main()
