"""Results as tables, on a screen and in docs/performance.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import forecast
from .contestants import BASE, CONTESTANTS, RECBOLE

Results = Mapping[str, Any]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned for reading as text: the first to the left, others to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def duration(seconds: float) -> str:
    """Three digits and a unit.

    Example:
        >>> duration(1.234e-5), duration(0.1234), duration(2.5), duration(754)
        ('12.3 µs', '123 ms', '2.50 s', '754 s')
    """
    for unit, factor in (("µs", 1e6), ("ms", 1e3)):
        if seconds * factor < 999.5:
            return f"{_three(seconds * factor)} {unit}"
    return f"{_three(seconds)} s"


def _small(seconds: float) -> str:
    """Microseconds, or nanoseconds below a tenth of one."""
    return f"{_three(seconds * 1e6)} µs" if seconds >= 1e-7 else f"{seconds * 1e9:.0f} ns"


def span(seconds: float) -> str:
    """A time that may be days long, in two digits at least.

    Example:
        >>> span(44.2), span(1441), span(90_000), span(1.07e6), span(1e8)
        ('44 s', '24 min', '25 h', '12 days', '1,157 days')
    """
    for unit, length, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 72)):
        if seconds < length * most:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"


def _three(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


# --- bench.py ---------------------------------------------------------------------------------------------------


def bench(results: Results) -> str:
    """All that bench.py measured."""
    size = results["data"]
    parts = [
        heading(results),
        f"Data: simulated, {size['users']:,} users, {size['items']:,} videos, {size['vloggers']:,} vloggers, "
        f"{size['train']:,} training interactions; batches of {size['batch']:,}, d = {size['embedding']}, "
        f"{size['layers']} layers. Medians; × is the ratio to {CONTESTANTS[BASE].title} at as many threads.",
        disturbance(results["load"]),
        _main_table(results),
        _epoch_remark(results),
        _parts_table(results),
        _memory_table(results),
        _sampling_table(results),
        _product_table(results),
        _losses_table(results),
        goals(results["goals"]),
    ]
    return "\n\n".join(part for part in parts if part)


def heading(results: Results) -> str:
    """Command, date, hardware and versions."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "torch", "numpy", "scipy", "recbole"))
    environment = "".join(f", {name}={value}" for name, value in machine["environment"].items())
    return (
        f"`{results['command']}`, {results['date']}, commit {machine['commit']}; {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}; {versions}{environment}."
    )


def disturbance(load: Mapping[str, Mapping[str, Any]]) -> str:
    """A warning that names the stages which other processes disturbed; empty if none."""
    disturbed = {name: found for name, found in load.items() if found["disturbed"]}
    if not disturbed:
        return ""
    worst = max(found["other_cores"] + found["stolen_cores"] for found in disturbed.values())
    return (
        f"**Disturbed: in {len(disturbed)} of {len(load)} stages other processes used up to {worst:.1f} cores "
        f"({', '.join(disturbed)}). These times are too high, with two threads up to ten times; measure again on a "
        f"quiet machine.**"
    )


def _main_table(results: Results) -> str:
    head = ["", "threads", "build", "×", "step", "×", "epoch", "×", "evaluation", "×", "peak memory"]
    rows = []
    for threads, stages in results["threads"].items():
        every = {**stages, "build": results["build"]}
        for key in results["contestants"]:
            cells = [CONTESTANTS[key].title, threads]
            for stage in ("build", "step", "epoch", "evaluation"):
                cells += _time_and_ratio(every[stage], key)
            memory = results["memory"].get(key)
            rows.append([*cells, f"{memory['peak_mib']:,.0f} MiB" if memory else "–"])
    return table(head, rows)


def _time_and_ratio(times: Mapping[str, Any], key: str, clock: str = "seconds") -> list[str]:
    """A contestant's time and its ratio to BASE; an extrapolated time has a star."""
    if key not in times:
        return ["–", "–"]
    found = times[key]
    star = "*" if found.get("batches", 0) < found.get("of", 0) else ""
    ratio = f"{found[clock] / times[BASE][clock]:.3f}" if BASE in times else "–"
    return [duration(found[clock]) + star, ratio]


def _epoch_remark(results: Results) -> str:
    part = [found for stages in results["threads"].values() for found in stages["epoch"].values()]
    part = [found for found in part if found["batches"] < found["of"]]
    if not part:
        return ""
    low, high = min(found["batches"] for found in part), max(found["batches"] for found in part)
    return (
        f"\\* extrapolated from the first {low:.0f} to {high:.0f} of {part[0]['of']:.0f} batches of an epoch; `--full` "
        f"measures whole epochs."
    )


def _parts_table(results: Results) -> str:
    head = ["step", "threads", "forward", "backward", "optimiser", "quartiles", "n", "CPU time", "×"]
    rows = []
    for threads, stages in results["threads"].items():
        for key, found in stages["step"].items():
            parts = [duration(found["parts"][name]) for name in ("forward", "backward", "optimiser")]
            quartiles = f"{duration(found['low'])} to {duration(found['high'])}"
            cpu = _time_and_ratio(stages["step"], key, "cpu")
            rows.append([CONTESTANTS[key].title, threads, *parts, quartiles, str(found["n"]), *cpu])
    return table(head, rows)


def _memory_table(results: Results) -> str:
    phases = ("load", "build", "step", "evaluation")
    head = ["peak resident memory, MiB", "after imports", *phases]
    rows = []
    for key, found in results["memory"].items():
        mib = [found["imports_mib"], *(found["phases"][name] for name in phases)]
        rows.append([CONTESTANTS[key].title, *(f"{one:,.0f}" for one in mib)])
    return table(head, rows)


def _sampling_table(results: Results) -> str:
    head = ["an epoch of batches with negatives", "threads", "time", "×"]
    rows = []
    for threads, stages in results["threads"].items():
        found = stages["sampling"]
        for name, one in found.items():
            ratio = one["seconds"] / found[RECBOLE]["seconds"]
            rows.append([name, threads, duration(one["seconds"]), f"{ratio:.3f}"])
    return table(head, rows)


def _product_table(results: Results) -> str:
    head = ["sparse product, Â × (n, d)", "threads", "time", "rows read"]
    rows = []
    for threads, stages in results["threads"].items():
        product = stages["product"]
        for name, found in product["times"].items():
            speed = product["bytes"] / found["seconds"] / 1e9
            rows.append([name, threads, duration(found["seconds"]), f"{speed:.1f} GB/s"])
    return table(head, rows)


def _losses_table(results: Results) -> str:
    head = ["loss of a timed step", "timed code", "expected", "relative error", "expected by"]
    rows = [
        [CONTESTANTS[key].title, f"{one['loss']:.8g}", f"{one['expected']:.8g}", f"{one['error']:.1e}", one["by"]]
        for key, one in results["losses"].items()
    ]
    return table(head, rows) if rows else ""


def goals(found: Sequence[Mapping[str, Any]]) -> str:
    """Goals beside the measured figures; missed ones are marked."""
    head = ["goal", "threads", "goal", "measured", ""]
    rows = []
    for one in found:
        small = abs(one["measured"]) < 1e-3
        measured = f"{one['measured']:.1e}" if small else f"{one['measured']:.3f}"
        threads = "–" if one["threads"] is None else str(one["threads"])
        rows.append([one["what"], threads, one["goal"], measured, "met" if one["met"] else "**missed**"])
    return table(head, rows) if rows else ""


# --- profile and scale ------------------------------------------------------------------------------------------


def profile(results: Results) -> str:
    """Where the time of a step goes."""
    parts = [heading(results), disturbance(results["load"])]
    for key, by_threads in results["profiles"].items():
        columns = list(by_threads)
        groups = list(by_threads[columns[0]]["groups"])
        rows = [[name, *_shares([by_threads[c] for c in columns], name)] for name in groups]
        whole = [text for c in columns for text in (duration(by_threads[c]["seconds"]), "")]
        head = [f"a step of {CONTESTANTS[key].title}"]
        head += [text for c in columns for text in (f"{c} thread{'s' if c != '1' else ''}", "share")]
        parts.append(table(head, [*rows, ["whole, while it is profiled", *whole]]))
    return "\n\n".join(part for part in parts if part)


def _shares(profiles: Sequence[Mapping[str, Any]], group: str) -> list[str]:
    cells: list[str] = []
    for found in profiles:
        seconds = found["groups"][group]
        cells += [duration(seconds), f"{seconds / found['seconds']:.0%}"]
    return cells


def scale(results: Results) -> str:
    """Growth with the number of interactions."""
    head = [
        "",
        "training interactions",
        "users",
        "videos",
        "load",
        "build",
        "step",
        "epoch",
        "evaluation",
        "peak memory",
    ]
    rows = []
    for key, found in results["runs"].items():
        for one in found:
            phases = one["phases"]
            times = [duration(phases[name]["seconds"]) for name in ("load", "build", "step", "epoch", "evaluation")]
            if phases["epoch"]["batches"] < phases["epoch"]["of"]:
                times[3] += "*"
            sizes = [f"{one[name]:,}" for name in ("train", "users", "items")]
            rows.append([CONTESTANTS[key].title, *sizes, *times, f"{one['peak_mib'] / 1024:.2f} GiB"])
    load = {f"{key}, {one['train']:,}": one["load"] for key, found in results["runs"].items() for one in found}
    parts = [
        heading(results),
        f"{results['threads']} thread(s), batches of {results['batch']:,}, d = {results['embedding']}. "
        f"\\* extrapolated from the beginning of an epoch.",
        disturbance(load),
        table(head, rows),
        _exponents(results),
        _forecasts(results),
        goals(results["goals"]),
    ]
    return "\n\n".join(part for part in parts if part)


def _forecasts(results: Results) -> str:
    """What an interaction took in the largest run, and sizes beyond."""
    each = []
    for key, found in results["runs"].items():
        cost = forecast.constants(found[-1])
        times = ", ".join(f"{name} {_small(cost[name])}" for name in ("load", "build", "step", "evaluation"))
        title = CONTESTANTS[key].title
        each.append(f"{title}'s largest run, divided by its interactions: {times}; {cost['bytes']:.0f} bytes.")
    head = ["not measured, predicted from the largest", "training interactions", *forecast.LAWS, "memory"]
    rows = []
    for key, found in results["runs"].items():
        for size in forecast.SIZES:
            one = forecast.forecast(found[-1], size)
            times = [span(one.seconds[name]) for name in forecast.LAWS]
            rows.append([CONTESTANTS[key].title, f"{size:,}", *times, f"{one.mib / 1024:,.0f} GiB"])
    return "\n\n".join([*each, table(head, rows)])


def _exponents(results: Results) -> str:
    head = ["exponent of growth", "all sizes", "last two"]
    rows = [
        [f"{CONTESTANTS[key].title}: {name}", f"{one['all']:.2f}", f"{one['last']:.2f}"]
        for key, found in results["exponents"].items()
        for name, one in found.items()
    ]
    return table(head, rows)


# --- the page ---------------------------------------------------------------------------------------------------

BLOCKS: dict[str, Callable[[Results], str]] = {"bench": bench, "profile": profile, "scale": scale}


def fill(text: str, name: str, block: str) -> str:
    """Put ``block`` between the markers ``<!-- name: begin -->`` and ``<!-- name: end -->`` of a page.

    Raises:
        ValueError: the page has not exactly one of each marker, in this order.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"The page needs the lines {begin} and {end} once each, in this order.")
    before, rest = text.split(begin)
    return f"{before}{begin}\n\n{block}\n\n{end}{rest.split(end)[1]}"


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
