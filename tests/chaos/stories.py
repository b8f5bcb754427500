"""What is interrupted, where, and what has to be true afterwards."""

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.demo.processes import wait_until
from tests.chaos.arena import CONVERGED_WITHIN, Arena


@dataclass(frozen=True, slots=True)
class Story:
    """Something that a broker does, and can be interrupted in.

    Attributes:
        prepare: Brings a new store to where it begins.
        begin: Begins it, with a point armed, and tells whether it was done, or is on its way; otherwise it is begun again.
        go_on: What somebody does after the crash; nothing, where the broker has to help itself.
        judge: Says what is wrong in the end; empty for nothing.
        points: Where it can be interrupted.
        any_store: Whether the points are passed before it is known which store it is about.
    """

    prepare: Callable[[Arena, str], None]
    begin: Callable[[Arena, str], bool]
    go_on: Callable[[Arena, str], None]
    judge: Callable[[Arena, str], str]
    points: tuple[str, ...]
    any_store: tuple[str, ...] = ()


def _nothing(_arena: Arena, _store_hash: str) -> None:
    pass


def _converged(arena: Arena, store_hash: str) -> str:
    return arena.wait_converged(store_hash)


def _put(arena: Arena, store_hash: str) -> bool:
    return arena.put(store_hash) in (200, 201)


def _mount(arena: Arena, store_hash: str) -> bool:
    arena.mount(store_hash)
    return True


def _put_again(arena: Arena, store_hash: str) -> None:
    arena.put_until_active(store_hash)


def _lose_an_answer(arena: Arena, store_hash: str) -> None:
    """The upstream makes a token and hangs up: there is an orphan with an intent."""
    switch = {"store_hash": store_hash, "create_outcome": "commit_then_drop"}
    arena.upstream("PATCH", "/_sandbox/behaviours", switch)
    arena.put(store_hash)
    arena.upstream("PATCH", "/_sandbox/behaviours", switch | {"create_outcome": "normal"})


def _register_retained(arena: Arena, store_hash: str) -> None:
    arena.put_until_active(store_hash, retain=True)


def _rotate(arena: Arena, store_hash: str) -> bool:
    reply = arena.ask("POST", f"/v1/stores/{store_hash}/rotate")
    return reply is not None and reply.status == 200


def _mint_once(arena: Arena, store_hash: str) -> None:
    """Mint a single-use reference, and keep it in the arena's folder."""
    arena.put_until_active(store_hash)
    reference = arena.mint(store_hash, access="redeem")
    (arena.stack.folder / f"{store_hash}.reference").write_text(reference, "ascii")


def _redeem(arena: Arena, store_hash: str) -> int:
    reference = (arena.stack.folder / f"{store_hash}.reference").read_text("ascii")
    reply = arena.ask("POST", "/v1/references/redeem", {"reference": reference}, arena.worker)
    return reply.status if reply else 0


def _redeem_once(arena: Arena, store_hash: str) -> bool:
    return _redeem(arena, store_hash) in (200, 410)


def _used_up(arena: Arena, store_hash: str) -> str:
    """A single-use reference is released at most once more, and then never."""
    statuses = [status for _ in range(3) if (status := _redeem(arena, store_hash))]
    if statuses[-1] != 410 or statuses.count(200) > 1:
        return f"redeemed again: {statuses}"
    return _converged(arena, store_hash)


def _remove(arena: Arena, store_hash: str) -> bool:
    reply = arena.ask("DELETE", f"/v1/stores/{store_hash}")
    return reply is not None and reply.status in (204, 404)


def _remove_until_gone(arena: Arena, store_hash: str) -> None:
    wait_until(store_hash, lambda: _remove(arena, store_hash), CONVERGED_WITHIN)


def _gone(arena: Arena, store_hash: str) -> str:
    live = arena.live_tokens(store_hash)
    return f"{len(live)} live tokens of a removed store" if live else ""


#: name → story; those that maintenance finishes come last, so that its deaths do not come between the others' requests
STORIES = {
    "redeem": Story(
        _mint_once,
        _redeem_once,
        _nothing,
        _used_up,
        ("use.before", "use.after", "allowed.before", "allowed.after", "answer.half"),
        any_store=("use.before", "use.after"),
    ),
    "issue": Story(
        _nothing,
        _put,
        _put_again,
        _converged,
        (
            "begin.before",
            "begin.after",
            "started.before",
            "started.after",
            "post.connect",
            "post.connected",
            "post.half",
            "post.sent",
            "post.headers",
            "post.body",
            "settle.before",
            "settle.after",
            "allowed.before",
            "allowed.after",
            "answer.half",
        ),
    ),
    "remove": Story(
        _register_retained,
        _remove,
        _remove_until_gone,
        _gone,
        (
            "revoke_store.after",
            "replace.before",
            "replace.after",
            "list.body",
            "delete.sent",
            "delete.body",
            "remove.before",
            "remove.after",
        ),
    ),
    "issue by itself": Story(
        _nothing,
        _mount,
        _nothing,
        _converged,
        (
            "look_at.before",
            "look_at.after",
            "claim.after",
            "due.after",
            "begin.after",
            "post.sent",
            "post.body",
            "settle.before",
            "settle.after",
            "looked_at.before",
            "looked_at.after",
        ),
        any_store=("claim.after", "due.after"),
    ),
    "reconcile": Story(
        _lose_an_answer,
        _put,
        _put_again,
        _converged,
        (
            "list.sent",
            "list.body",
            "delete.half",
            "delete.sent",
            "delete.body",
            "forget.before",
            "forget.after",
        ),
    ),
    "rotate": Story(
        _register_retained,
        _rotate,
        _nothing,
        _converged,
        (
            "begin.after",
            "post.sent",
            "post.body",
            "check.sent",
            "check.body",
            "settle.before",
            "settle.after",
            "replace.before",
            "replace.after",
            "list.body",
            "delete.sent",
            "delete.body",
            "looked_at.before",
        ),
    ),
}
POINTS = [(name, point) for name, story in STORIES.items() for point in story.points]
