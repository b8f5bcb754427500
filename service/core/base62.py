"""Base62 (0-9A-Za-z) of fixed width: what references and accessors are written in.

Letters and digits only, so that a double click selects the whole of it and no URL, shell or log mangles it.
"""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Two digits at a time halve the number of long divisions, which are what this costs.
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
_PAIR_BASE = 62 * 62


def base62(value: bytes, width: int) -> str:
    """Return the big-endian number ``value`` in ``width`` digits, zero-padded on the left.

    Raises:
        ValueError: The number does not fit.
    """
    number = int.from_bytes(value, "big")
    pairs = []
    for _ in range((width + 1) // 2):
        number, rest = divmod(number, _PAIR_BASE)
        pairs.append(_PAIRS[rest])
    text = "".join(reversed(pairs))
    surplus = len(text) - width
    if number or text[:surplus].strip("0"):
        raise ValueError("the number does not fit the width")
    return text[surplus:]
