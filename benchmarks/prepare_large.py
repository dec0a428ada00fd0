"""Converts a made-up log of KuaiRand-27K's width and reports time and peak memory.

Run: python benchmarks/prepare_large.py --rows 100_000_000 --folder FOLDER

FOLDER needs room: about 85 bytes a row for the log and as much for the database. The made-up log has the columns
of KuaiRand-27K, 27,285 users, a tenth as many videos as rows, Zipf-like popularity and KuaiRand's shares of clicks.
It is kept, so that a second run measures the conversion alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path

import duckdb
import psutil
import pyarrow

USERS = 27_285
_CONVERT = """
import sys
from recbole_vagnn.prepare.pipeline.run import prepare
prepare("kuairand", sys.argv[1], name="large", data_path=sys.argv[2], filters={"user_core": 5, "item_core": 5},
        positive=[sys.argv[4]], quiet=False, overwrite=True, memory=sys.argv[3])
"""


def make_log(folder: Path, rows: int) -> None:
    """Write a log in two files and a table of videos, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    videos, half = rows // 10, rows // 2
    connection = duckdb.connect()
    connection.execute("SELECT setseed(0.5)").fetchall()
    for part, days in enumerate(("4_08_to_4_21", "4_22_to_5_08")):
        path = folder / f"log_standard_{days}_27k.csv"
        if not path.exists():
            _copy(connection, _log_query(half, part * half, videos), path)
    path = folder / "video_features_basic_27k.csv"
    if not path.exists():
        _copy(connection, _video_query(videos), path)


def _log_query(rows: int, start: int, videos: int) -> str:
    # floor(n^random) is Zipf-like: the density of the result falls as 1/x.
    return f"""
        SELECT floor({USERS} * random())::BIGINT AS user_id, floor(pow({videos}, random()))::BIGINT AS video_id,
               20220408 AS date, 1200 AS hourmin, 1649400000000 + ({start} + range) * 20 AS time_ms,
               (random() < 0.45)::INT AS is_click, (random() < 0.02)::INT AS is_like,
               (random() < 0.001)::INT AS is_follow, (random() < 0.003)::INT AS is_comment,
               (random() < 0.001)::INT AS is_forward, (random() < 0.0005)::INT AS is_hate,
               (random() < 0.3)::INT AS long_view, floor(60000 * random())::INT AS play_time_ms,
               floor(120000 * random())::INT AS duration_ms, 0 AS profile_stay_time, 0 AS comment_stay_time,
               (random() < 0.01)::INT AS is_profile_enter, 0 AS is_rand, 1 AS tab
        FROM range({rows})"""


def _video_query(videos: int) -> str:
    return f"""
        SELECT range AS video_id, floor(pow({max(2, videos // 4)}, random()))::BIGINT AS author_id,
               'NORMAL' AS video_type, '2022-04-10' AS upload_dt, 'LongImport' AS upload_type, 0.0 AS visible_status,
               87433.0 AS video_duration, 720.0 AS server_width, 1280.0 AS server_height, 9155697141 AS music_id,
               9.0 AS music_type, '39' AS tag
        FROM range({videos + 1})"""


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    draft = path.with_suffix(".draft")
    connection.execute(f"COPY ({query}) TO '{draft}' (FORMAT csv, HEADER true)").fetchall()
    draft.rename(path)


def convert(folder: Path, target: Path, memory: str, positive: str) -> dict[str, float]:
    """Convert in a process of its own; seconds and the peak of its resident memory in MiB, sampled every 20 ms."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", _CONVERT, str(folder), str(target), memory, positive])
    peak = [0]

    def watch() -> None:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak[0] = max(peak[0], watched.memory_info().rss)
            except psutil.NoSuchProcess:
                return
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    watcher.join()
    if code:
        raise SystemExit(f"The conversion failed with exit code {code}.")
    return {"seconds": time.perf_counter() - began, "peak_rss_mib": peak[0] / 2**20}


def main() -> None:
    """Make the log, convert it, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--memory", default="2GB", help="limit of the database")
    parser.add_argument("--positive", default="is_click", help="rows that count; all: nothing is filtered away")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    source, target = arguments.folder / f"log-{arguments.rows}", arguments.folder / "converted"
    make_log(source, arguments.rows)
    figures: dict[str, object] = {
        "rows": arguments.rows,
        "log_bytes": sum(path.stat().st_size for path in source.iterdir()),
        "memory_limit": arguments.memory,
        "positive": arguments.positive,
        **convert(source, target, arguments.memory, arguments.positive),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "versions": f"Python {platform.python_version()}, duckdb {duckdb.__version__}, pyarrow {pyarrow.__version__}",
        "date": str(date.today()),
    }
    shutil.rmtree(target)
    text = json.dumps(figures, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
