"""Wildcards in the access file: ``*`` stands for any run of characters that does not cross a separator.

``corp:ops-*`` matches ``corp:ops-anna`` and not ``corp:ops/x``; ``k8s:commerce/*`` matches every service account of one namespace;
``store.*`` every action on stores.
"""

import re
from functools import lru_cache


@lru_cache(maxsize=4096)
def compiled(pattern: str, separators: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern.

    Args:
        pattern: Literal text with ``*``.
        separators: The characters that ``*`` never stands for.
    """
    anything = f"[^{re.escape(separators)}]*" if separators else ".*"
    return re.compile(anything.join(re.escape(part) for part in pattern.split("*")))


def matches(pattern: str, text: str, separators: str) -> bool:
    """Tell whether the whole of ``text`` is what ``pattern`` describes."""
    return compiled(pattern, separators).fullmatch(text) is not None
