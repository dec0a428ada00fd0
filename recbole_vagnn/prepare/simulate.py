"""``simulate``: a platform drawn from the model of docs/simulation.md, with a known effect of the vloggers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recbole_vagnn.errors import InputError
from recbole_vagnn.options import Options
from recbole_vagnn.prepare.pipeline.source import Follows, Items, Log, RawData, Request, Source, option
from recbole_vagnn.simulation.calibration import read_release
from recbole_vagnn.simulation.options import SimulationOptions
from recbole_vagnn.simulation.platform import Platform, simulate, sizes_of

_BATCH_ROWS = 2**17
_OF = SimulationOptions  # its defaults are the flags' defaults


@dataclass(frozen=True)
class SimulateOptions(Options):
    """Flags of ``simulate``; see :class:`SimulationOptions` for their ranges."""

    users: int = option(_OF.users, "Users (0: one per 30 interactions).")
    videos: int = option(_OF.videos, "Videos (0: 3,000 at 60,000 interactions, growing with their square root).")
    vloggers: int = option(_OF.vloggers, "Vloggers (0: one per 10 videos).")
    interactions: int = option(
        _OF.interactions, "Interactions (0: 30 per user, 68.6 with --calibrate; 60,000 without either)."
    )
    vlogger_effect: float = option(_OF.vlogger_effect, "Share of views chosen by loyalty to a vlogger, 0 to 1.")
    topics: int = option(_OF.topics, "Topics.")
    follow_completeness: float = option(_OF.follow_completeness, "Share of the loyal pairs that are follow pairs.")
    follow_noise: float = option(_OF.follow_noise, "Share of follow pairs without loyalty, 0 to 0.9.")
    feature_quality: float = option(_OF.feature_quality, "Share of videos that show their topic, others a random one.")
    seed: int = option(_OF.seed, "Seed of all random numbers.")
    calibrate: str | None = option(
        None, "Folder with vlogger_video_data.txt and user_vlogger_data2.txt to take users, videos and vloggers from."
    )

    def __post_init__(self) -> None:
        model = self.model
        if self.calibrate is None:
            sizes_of(model, None)
        elif not Path(self.calibrate).expanduser().is_dir():
            raise InputError(f"--calibrate {self.calibrate} is not a folder.")

    @property
    def model(self) -> SimulationOptions:
        """The options of the generative model."""
        return SimulationOptions(**{field.name: getattr(self, field.name) for field in fields(SimulationOptions)})


def _read(request: Request) -> RawData:
    options: SimulateOptions = request.options
    release = None
    if options.calibrate is not None:
        release = read_release(Path(options.calibrate).expanduser())
        for path in release.files:
            request.touch(path)
            request.advance(path.stat().st_size)
    sizes_of(options.model, release)  # fails before anything is drawn
    remarks: list[str] = []

    @cache
    def platform() -> Platform:
        drawn = simulate(options.model, release)
        remarks.extend(drawn.remarks())
        return drawn

    return RawData(
        log=Log(_batches(lambda: _views(platform())), user="user", item="video", time="time"),
        items=Items(_batches(lambda: _videos(platform())), item="video", vlogger="vlogger", keep={"topic": "token"}),
        follows=_follows(options, platform),
        remarks=remarks,
    )


def _follows(options: SimulateOptions, platform: Callable[[], Platform]) -> Follows | None:
    if options.follow_completeness == 0:  # then there is no noise either
        return None

    def columns() -> dict[str, np.ndarray]:
        follows = platform().follows
        if len(follows.user) == 0:
            raise InputError(
                f"--follow-completeness {options.follow_completeness} leaves no follow pair on a platform of this "
                f"size. Raise it, or say 0 for none."
            )
        return {"user": follows.user, "vlogger": follows.vlogger, "time": follows.time}

    return Follows(_batches(columns), user="user", vlogger="vlogger", time="time")


def _views(platform: Platform) -> dict[str, np.ndarray]:
    return {"user": platform.views.user, "video": platform.views.video, "time": platform.views.time}


def _videos(platform: Platform) -> dict[str, np.ndarray]:
    return {
        "video": np.arange(platform.sizes.videos),
        "vlogger": platform.catalogue.vlogger_of,
        "topic": platform.shown_topic,
    }


def _batches(columns: Callable[[], dict[str, np.ndarray]]) -> Iterator[pa.RecordBatch]:
    """Rows of equally long int64 columns, in batches of bounded size; ``columns`` is called at the first."""
    batch = pa.RecordBatch.from_pydict(columns())
    for start in range(0, batch.num_rows, _BATCH_ROWS):
        yield batch.slice(start, _BATCH_ROWS)


def _dataset_name(path: Path | None, options: Any) -> str:  # noqa: ARG001
    """``simulated-e0.5-s2020``, or ``simulated-takatak-e0.5-s2020`` after the release."""
    release = "" if options.calibrate is None else f"-{Path(options.calibrate).expanduser().resolve().name}"
    return f"simulated{release}-e{options.vlogger_effect:g}-s{options.seed}"


SOURCE = Source(
    name="simulate",
    summary="A simulated platform whose vloggers matter as much as you say (docs/simulation.md).",
    input=None,
    options=SimulateOptions,
    read=_read,
    dataset_name=_dataset_name,
    # The catalogue that was asked for, with the videos that nobody watched.
    defaults={"cold_items": True},
)
