"""Values of options as text: exact for files, short for people."""

from __future__ import annotations

import math
from typing import Any

import yaml

from recbole_vagnn.defaults import parse_yaml
from recbole_vagnn.result import plain


class _Dumper(yaml.SafeDumper):
    """Quotes also the text that our reader, like RecBole's, takes for a number: ``1e-3``."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if "\n" in text else "'" if _reads_as_other(text) else None  # only double quotes keep it on one line
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _reads_as_other(text: str) -> bool:
    try:
        return not isinstance(parse_yaml(text), str)
    except yaml.YAMLError:
        return False  # PyYAML quotes what is no plain scalar


_Dumper.add_representer(str, _represent_text)
# Numpy's floats and texts are floats and texts of Python too, which PyYAML does not see.
_Dumper.add_multi_representer(float, lambda dumper, value: dumper.represent_float(float(value)))
_Dumper.add_multi_representer(str, lambda dumper, value: _represent_text(dumper, str(value)))


def exact(value: Any) -> str:
    """A value as one line of YAML that reads back as the same value and type.

    Floats have all their digits and a point (``1.0e-05``), so that every YAML 1.1 reader takes them for numbers.

    Example:
        >>> [exact(value) for value in (1e-05, "1e-05", "auto", None, [1, 2.0])]
        ['1.0e-05', "'1e-05'", 'auto', 'null', '[1, 2.0]']
    """
    text = yaml.dump(
        [plain(value)], Dumper=_Dumper, default_flow_style=True, width=math.inf, allow_unicode=True, sort_keys=False
    )
    return text.strip()[1:-1]


def read_exact(text: str) -> Any:
    """The value that :func:`exact` wrote.

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    return parse_yaml(text)


def short(value: Any) -> str:
    """A value as people read it; floats have four significant digits.

    Example:
        >>> short(0.00123456), short(None), short(True), short("auto")
        ('0.001235', 'None', 'True', 'auto')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Seconds in words.

    Example:
        >>> duration(42.3), duration(754), duration(12_060)
        ('42 s', '12.6 min', '3 h 21 min')
    """
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600 - 3:  # which would print as 60.0 min
        return f"{seconds / 60:.1f} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
