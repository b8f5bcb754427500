"""Which behaviours are in force: set for all stores, and for single ones over that."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from sandbox.behaviours import Behaviours
from sandbox.checks import InvalidValueError

if TYPE_CHECKING:
    from sandbox.checks import Check


class UnknownBehaviourError(Exception):
    """There is no switch of that name, or it does not take that value."""


CHECKS: dict[str, Check] = {item.name: item.metadata["check"] for item in fields(Behaviours)}


def checked(changes: dict[str, Any]) -> dict[str, Any]:
    """Check names and values of switches.

    Raises:
        UnknownBehaviourError: If a name or a value is not one that exists; the message says which.
    """
    for name, value in changes.items():
        if name not in CHECKS:
            raise UnknownBehaviourError(f"there is no behaviour {name!r}")
        try:
            CHECKS[name].accept(value)
        except InvalidValueError:
            raise UnknownBehaviourError(f"{name} takes {CHECKS[name].allowed}") from None
    return changes


class Switchboard:
    """The switches as they are set: for all stores, and for single ones over that.

    NOTE: it takes no lock; whoever holds the state's lock changes it. Reading needs none.
    """

    def __init__(self) -> None:
        self.everywhere = Behaviours()
        #: store hash → only what differs there
        self.exceptions: dict[str, dict[str, Any]] = {}
        #: store hash → the result of both, made when a switch changes
        self._merged: dict[str, Behaviours] = {}

    def towards(self, store_hash: str | None) -> Behaviours:
        """Give the behaviours that a store meets."""
        return self._merged.get(store_hash or "", self.everywhere)

    def set(self, store_hash: str | None = None, **changes: Any) -> None:
        """Set switches for all stores or for one.

        Raises:
            UnknownBehaviourError: If a name or a value is not one that exists; nothing is set then.
        """
        checked(changes)
        if store_hash is None:
            self.everywhere = replace(self.everywhere, **changes)
        else:
            self.exceptions.setdefault(store_hash, {}).update(changes)
        self._merged = {
            key: replace(self.everywhere, **differs) for key, differs in self.exceptions.items()
        }

    def take_failure(self, store_hash: str | None, path: str) -> int | None:
        """Count `fail_next` down and give its status if this request is one of those."""
        planned = self.towards(store_hash).fail_next
        if not planned or not path.startswith(planned.get("path", "/")):
            return None
        left = planned | {"count": planned["count"] - 1}
        scope = store_hash if "fail_next" in self.exceptions.get(store_hash or "", {}) else None
        self.set(scope, fail_next=left if left["count"] else None)
        return int(planned["status"])

    def as_json(self) -> dict[str, Any]:
        """Give every switch, and under `stores` what differs for single ones."""
        return {**self.everywhere.as_json(), "stores": self.exceptions}
