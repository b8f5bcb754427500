"""A value that must not be seen: a password, a token, a reference, a key.

Everything that usually shows a value by accident (``repr``, ``str``, formatting, pickling, JSON, a traceback with locals)
shows three stars or refuses. ``reveal`` is the only way out; the places that call it are listed by a test.
"""

from typing import Any, NoReturn

_STARS = "***"


class Secret:
    """Holds one secret string and shows it to nobody who does not ask by name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself; the caller is now responsible for where it goes."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({_STARS})"

    def __str__(self) -> str:
        return _STARS

    def __format__(self, _spec: str) -> str:
        return _STARS

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("compare secrets with hmac.compare_digest, not with ==")

    __hash__ = None  # type: ignore[assignment]  # a set or dict of secrets would compare them with ==

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> "Secret":
        return self
