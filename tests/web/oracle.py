"""Who may do what over HTTP, written down a second time: from DESIGN §7 and §8 alone, without the policy's code.

A cell is one question: an operation, asked by a kind of identity, about a store in some relation to its grants, and where a reference
is concerned, about one in some state. ``expected`` says what has to come of it.
"""

from dataclasses import dataclass
from itertools import product

IDENTITIES = (
    "operator",  # of all stores
    "store_operator",  # of the granted stores only
    "reader",  # of the granted stores
    "minter",  # for the granted stores
    "worker",  # the audience of references; may redeem for the granted stores
    "stranger",  # proves who it is, and no grant names it
    "nobody",  # proves nothing
)
STORES = {
    "own": "abc123",  # in the grants of everybody who has one
    "own_rejected": "abc409",  # so, and the upstream refused its credential
    "own_unknown": "abc404",  # so, and not registered
    "other": "xyz123",  # in the operator's grants only
    "other_unknown": "xyz404",  # so, and not registered
    "all": "*",
}
GRANTED = {name for name in STORES if name.startswith("own")}
UNKNOWN = {"own_unknown", "other_unknown"}

# Who is let through for which stores; whoever is not named is not. Everything else about a reference is in the rules below.
RIGHTS = {
    "putStore": {"operator": "all", "store_operator": "granted"},
    "rotateStore": {"operator": "all", "store_operator": "granted"},
    "rollBackStore": {"operator": "all", "store_operator": "granted"},
    "listOrphans": {"operator": "all", "store_operator": "granted", "reader": "granted"},
    "deleteOrphans": {"operator": "all", "store_operator": "granted"},
    "removeStore": {"operator": "all", "store_operator": "granted"},
    "listStores": {"operator": "all", "store_operator": "granted", "reader": "granted"},
    "getStore": {"operator": "all", "store_operator": "granted", "reader": "granted"},
    "lockStore": {"operator": "all", "store_operator": "granted"},
    "unlockStore": {"operator": "all", "store_operator": "granted"},
    "lockAll": {"operator": "all"},
    "unlockAll": {"operator": "all"},
    "listLocks": {"operator": "all", "store_operator": "granted", "reader": "granted"},
    "mintReference": {"minter": "granted"},
    "redeemReference": {"worker": "granted"},
    "introspectReference": {"operator": "all", "store_operator": "granted", "reader": "granted"},
    "listReferences": {"operator": "all", "store_operator": "granted", "reader": "granted"},
    "getReference": {"operator": "all", "store_operator": "granted", "reader": "granted"},
    "revokeReference": {"operator": "all", "store_operator": "granted"},
    "revokeReferences": {"operator": "all", "store_operator": "granted"},
    "revokeReferences store": {"operator": "all", "store_operator": "granted"},
    "revokeReferences caller": {"operator": "all"},
    "revokeReferences all": {"operator": "all"},
    "listKeys": {"operator": "all"},
    "rewrapKeys": {"operator": "all"},
    "showRewrap": {"operator": "all"},
    "retireKey": {"operator": "all"},
    "explainPolicy": {"operator": "all", "store_operator": "granted"},
    "listAuditHeads": {"operator": "all"},
    "whoami": dict.fromkeys(IDENTITIES, "all"),
    "proxy": dict.fromkeys(IDENTITIES, "all"),  # implied by the reference
}
ON_REFERENCES = {
    "redeemReference",
    "introspectReference",
    "getReference",
    "revokeReference",
    "revokeReferences",
    "proxy",
}
ON_KNOWN_STORES = {
    "getStore",
    "rotateStore",
    "rollBackStore",
    "listOrphans",
    "deleteOrphans",
    "removeStore",
    "lockStore",
    "mintReference",
}
ON_KEYS = {"listKeys", "rewrapKeys", "showRewrap", "retireKey"}
ON_ALL_STORES = {
    "revokeReferences caller",
    "revokeReferences all",
    "listAuditHeads",
    "lockAll",
    "unlockAll",
    "whoami",
} | ON_KEYS

LIVE = ("live", "other_access", "other_audience", "other_minter")
DEAD = ("revoked", "expired", "used_up", "never_minted", "garbage")
STATES = (*LIVE, *DEAD)


@dataclass(frozen=True, slots=True)
class Cell:
    """One question; ``state`` is empty where no reference is concerned."""

    operation: str
    identity: str
    relation: str
    state: str = ""


def cells(operation: str, identity: str) -> list[Cell]:
    """Return every cell of an operation and an identity: the full product, without what ``skipped`` names."""
    states = STATES if operation in ON_REFERENCES else ("",)
    product_of_both = (Cell(operation, identity, *rest) for rest in product(STORES, states))
    return [cell for cell in product_of_both if not skipped(cell)]


def skipped(cell: Cell) -> str:
    """Return why a combination cannot be asked; empty if it can."""
    if cell.operation in ON_ALL_STORES:
        return "" if cell.relation == "all" else "it names no store"
    if cell.relation == "all" and cell.operation != "explainPolicy":
        return "it takes the name of one store, or the reference's"
    if cell.state and cell.relation == "own_rejected":
        return "nothing is minted for a store without a token"
    if cell.state == "garbage" and cell.relation != "own":
        return "garbage belongs to no store"
    if cell.state == "expired" and (cell.operation, cell.relation) == ("redeemReference", "other"):
        return "Redis forgets it by a clock that no test moves; until then its store is looked at first"
    return ""


def expected(cell: Cell) -> str:
    """Return what comes of a cell: ``allowed``, a status, or what an allowed answer says instead."""
    if cell.identity == "nobody":
        return "401"
    rule = _RULES.get(cell.operation)
    if rule is not None:
        return rule(cell)
    if not _granted(cell):
        return "403"
    if cell.operation in ON_KNOWN_STORES and cell.relation in UNKNOWN:
        return "404"
    if cell.operation in ("mintReference", "rollBackStore") and cell.relation == "own_rejected":
        return "409"
    return "allowed"


def _granted(cell: Cell) -> bool:
    stores = RIGHTS[cell.operation].get(cell.identity)
    return stores == "all" or (stores == "granted" and cell.relation in GRANTED)


def _is_live(cell: Cell) -> bool:
    # Removing a store revokes its references (DESIGN §7).
    return cell.state in LIVE and cell.relation not in UNKNOWN


def _is_audience(cell: Cell) -> bool:
    return cell.identity == "worker" and cell.state != "other_audience"


def _is_minter(cell: Cell) -> bool:
    return cell.identity == "minter" and cell.state != "other_minter"


def _proxy(cell: Cell) -> str:
    usable = _is_live(cell) and _is_audience(cell) and cell.state != "other_access"
    return "allowed" if usable else "410"


def _redeem(cell: Cell) -> str:
    if cell.identity not in RIGHTS[cell.operation]:
        return "403"
    if _proxy(cell) == "410":
        return "410"
    return "allowed" if _granted(cell) else "403"


def _sees(cell: Cell) -> bool:
    return _is_live(cell) and (_granted(cell) or _is_audience(cell) or _is_minter(cell))


def _revoke(cell: Cell) -> str:
    if not _is_live(cell):
        return "not_live"  # RFC 7009: unknown references are no error
    return "allowed" if _granted(cell) or _is_minter(cell) else "403"


def _list_stores(cell: Cell) -> str:
    if cell.identity not in RIGHTS[cell.operation]:
        return "403"
    return "allowed" if _granted(cell) and cell.relation not in UNKNOWN else "hidden"


def _list_locks(cell: Cell) -> str:
    if cell.identity not in RIGHTS[cell.operation]:
        return "403"
    return "allowed" if _granted(cell) and cell.relation in ("own", "other") else "hidden"


_RULES = {
    "proxy": _proxy,
    "redeemReference": _redeem,
    "introspectReference": lambda cell: "allowed" if _sees(cell) else "inactive",
    # What is not the caller's to know looks like what is not there.
    "getReference": lambda cell: "allowed" if _sees(cell) else "404",
    "revokeReference": _revoke,
    "revokeReferences": _revoke,
    "listStores": _list_stores,
    "listLocks": _list_locks,
}
