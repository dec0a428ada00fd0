"""The one exception for mistakes a user can mend."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad data, a bad option or a request that cannot be met.

    The message is complete for a user: it names the file, line or field, counts what is wrong and says
    how to mend it. The command line prints the message alone, without a traceback.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest known word, or an empty string.

    Comparison ignores case, so that ``vagnn`` suggests ``VAGNN``.
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""
