"""Nobody without the key alters a trail unseen: a thousand random mutations of each kind, and each is found.

Each mutation is one that an attacker would make: hashes are computed anew where that helps, heads are put back to older ones.
"""

import json
import random
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.core.audit import unlink
from service.core.audit_heads import read_head, sign_head
from tests.support.trails import KEY, Trail, forged, verified, written

MUTATIONS = 1000
TRAILS = [written(seed, entries=12) for seed in range(40)]

Mutate = Callable[[Trail, random.Random], set[str]]
"""Alters a trail, and returns the kinds of which at least one has to be found."""


def _some_line(trail: Trail, dice: random.Random) -> tuple[int, str, bytes]:
    place = dice.randrange(len(trail.lines))
    writer, line = trail.lines[place]
    return place, writer, line


def _flip(trail: Trail, dice: random.Random) -> set[str]:
    """Another byte somewhere in a line."""
    place, writer, line = _some_line(trail, dice)
    at = dice.randrange(len(line) - 1)
    other = dice.choice([b for b in range(32, 127) if b != line[at]])
    trail.lines[place] = (writer, line[:at] + bytes([other]) + line[at + 1 :])
    return {"edited", "gap", "cut", "missing_chain"}


def _rehashed(line: bytes, **fields: object) -> tuple[bytes, str]:
    """Return a line with other fields and the hash that fits."""
    content = json.loads(line) | fields
    writer, seq, prev = content["writer"], content["seq"], content["prev"]
    made, digest = forged(writer, seq, prev, random.Random(seq))  # noqa: S311 — the same each time
    assert unlink(made)[1]
    return made, digest


def _edit(trail: Trail, dice: random.Random) -> set[str]:
    """Another entry in the place of one, with the hash that fits."""
    place, writer, line = _some_line(trail, dice)
    trail.lines[place] = (writer, _rehashed(line)[0])
    return {"edited", "rewritten"}


def _rewrite(trail: Trail, dice: random.Random) -> set[str]:
    """An entry edited, and all that follow in its chain linked to it anew."""
    first, writer, _ = _some_line(trail, dice)
    prev: str | None = None
    for place in (p for p in trail.of(writer) if p >= first):
        line = trail.lines[place][1]
        fields = {} if prev is None else {"prev": prev}
        made, prev = _rehashed(line, **fields)
        trail.lines[place] = (writer, made)
    return {"rewritten"}


def _drop(trail: Trail, dice: random.Random) -> set[str]:
    """A line, or a few, left out."""
    for _ in range(dice.randint(1, 3)):
        del trail.lines[_some_line(trail, dice)[0]]
    return {"gap", "cut", "missing_chain"}


def _squeeze(trail: Trail, dice: random.Random) -> set[str]:
    """A line left out, and those that follow numbered and linked anew."""
    first, writer, line = _some_line(trail, dice)
    fields = json.loads(line)
    seq, prev = fields["seq"], fields["prev"]
    del trail.lines[first]
    for place in (p for p in trail.of(writer) if p >= first):
        made, prev = _rehashed(trail.lines[place][1], seq=seq, prev=prev)
        trail.lines[place] = (writer, made)
        seq += 1
    return {"cut", "missing_chain"}


def _swap(trail: Trail, dice: random.Random) -> set[str]:
    """Two lines of one chain in each other's place."""
    writer = dice.choice(sorted(trail.heads))
    one, other = sorted(dice.sample(trail.of(writer), 2))
    trail.lines[one], trail.lines[other] = trail.lines[other], trail.lines[one]
    return {"reordered"}


def _cut(trail: Trail, dice: random.Random) -> set[str]:
    """The last lines of a chain left out."""
    writer = dice.choice(sorted(trail.heads))
    places = trail.of(writer)
    for place in reversed(places[-dice.randint(1, len(places) - 1) :]):
        del trail.lines[place]
    return {"cut"}


def _cut_file(trail: Trail, dice: random.Random) -> set[str]:
    """The end of the file left out."""
    del trail.lines[dice.randrange(len(trail.lines)) :]
    return {"cut", "missing_chain"}


def _lose(trail: Trail, dice: random.Random) -> set[str]:
    """All lines of a writer left out."""
    writer = dice.choice(sorted(trail.heads))
    for place in reversed(trail.of(writer)):
        del trail.lines[place]
    return {"missing_chain"}


def _repeat(trail: Trail, dice: random.Random) -> set[str]:
    """A line that stands there twice."""
    place, writer, line = _some_line(trail, dice)
    trail.lines.insert(dice.randint(place + 1, len(trail.lines)), (writer, line))
    return {"duplicate"}


def _replay(trail: Trail, dice: random.Random) -> set[str]:
    """A line of later that stands there before as well."""
    place, writer, line = _some_line(trail, dice)
    trail.lines.insert(dice.randint(0, place), (writer, line))
    return {"duplicate", "reordered"}


def _append(trail: Trail, dice: random.Random) -> set[str]:
    """An entry made up behind the end of a chain."""
    writer = dice.choice(sorted(trail.heads))
    last = json.loads(trail.lines[trail.of(writer)[-1]][1])
    line = forged(writer, last["seq"] + 1, last["hash"], dice)[0]
    trail.lines.append((writer, line))
    return {"after_end"}


def _insert(trail: Trail, dice: random.Random) -> set[str]:
    """An entry made up in the middle of a chain."""
    place, writer, line = _some_line(trail, dice)
    fields = json.loads(line)
    trail.lines.insert(place, (writer, forged(writer, fields["seq"], fields["prev"], dice)[0]))
    return {"duplicate", "edited", "rewritten"}


def _forge_head(trail: Trail, dice: random.Random) -> set[str]:
    """Another character in a head."""
    writer = dice.choice(sorted(trail.heads))
    signed = trail.heads[writer]
    at = dice.randrange(len(signed))
    other = dice.choice([chr(b) for b in range(32, 127) if chr(b) != signed[at]])
    trail.heads[writer] = signed[:at] + other + signed[at + 1 :]
    return {"forged_head"}


def _sign_otherwise(trail: Trail, dice: random.Random) -> set[str]:
    """A tail cut off, and the head signed for it with a key of one's own."""
    writer = dice.choice(sorted(trail.heads))
    places = trail.of(writer)
    for place in reversed(places[-dice.randint(1, len(places) - 1) :]):
        del trail.lines[place]
    head = read_head(KEY.public_key(), trail.heads[writer])
    own = Ed25519PrivateKey.from_private_bytes(dice.randbytes(32))
    trail.heads[writer] = sign_head(own, head)
    return {"forged_head"}


def _lend_head(trail: Trail, dice: random.Random) -> set[str]:
    """A head listed under another writer."""
    one, other = dice.sample(sorted(trail.heads), 2)
    trail.heads[one] = trail.heads[other]
    return {"forged_head"}


def _roll_back(trail: Trail, dice: random.Random) -> set[str]:
    """A tail cut off, and an older head of the writer put back: its others have seen a later one."""
    writer = dice.choice(sorted(trail.heads))
    latest_seen = trail.older[writer][-2][0]  # before the end, which nobody saw
    earlier = [old for old in trail.older[writer] if old[0] < latest_seen]
    seq, trail.heads[writer] = dice.choice(earlier) if earlier else (0, "")
    for place in reversed(trail.of(writer)[seq:]):
        del trail.lines[place]
    return {"old_head", "lost_head"}


def _erase(trail: Trail, dice: random.Random) -> set[str]:
    """A writer that never was: neither lines nor head."""
    writer = dice.choice(sorted(trail.heads))
    for place in reversed(trail.of(writer)):
        del trail.lines[place]
    del trail.heads[writer]
    return {"lost_head"}


MUTATIONS_OF_ALL_KINDS: tuple[Mutate, ...] = (
    *(_flip, _edit, _rewrite, _drop, _squeeze, _swap, _cut, _cut_file, _lose, _repeat, _replay),
    *(_append, _insert, _forge_head, _sign_otherwise, _lend_head, _roll_back, _erase),
)


def _copy(trail: Trail) -> Trail:
    return Trail(list(trail.lines), dict(trail.heads), trail.older)


@pytest.mark.parametrize("mutate", MUTATIONS_OF_ALL_KINDS, ids=lambda m: m.__name__.strip("_"))
def test_every_mutation_is_found(mutate: Mutate) -> None:
    """None of a thousand is missed, and each is called what it is."""
    missed = []
    for seed in range(MUTATIONS):
        trail = _copy(TRAILS[seed % len(TRAILS)])
        kinds = mutate(trail, random.Random(seed))  # noqa: S311 — a test that can be repeated
        report = verified(trail)
        if report.verdict != "broken" or not kinds & set(report.counts):
            missed.append((seed, report.verdict, report.counts))

    assert missed == []


@pytest.mark.parametrize("seed", range(200))
def test_an_untouched_trail_is_whole(seed: int) -> None:
    """However many processes wrote it, and in whatever order their lines came."""
    dice = random.Random(seed)  # noqa: S311 — a test that can be repeated
    trail = written(1000 + seed, writers=dice.randint(1, 6), entries=dice.randint(6, 60))

    report = verified(trail)

    assert (report.verdict, report.findings) == ("whole", [])
    assert report.entries == len(trail.lines)
    assert all(chain.ended and chain.signed_to == chain.last for chain in report.chains)


@pytest.mark.parametrize("seed", range(100))
def test_the_order_of_different_writers_does_not_matter(seed: int) -> None:
    """Lines of one chain stay in their order, and those of others may come in between anywhere."""
    dice = random.Random(seed)  # noqa: S311 — a test that can be repeated
    trail = _copy(TRAILS[seed % len(TRAILS)])
    chains = [[trail.lines[place] for place in trail.of(writer)] for writer in trail.heads]
    trail.lines = []
    while any(chains):
        trail.lines.append(dice.choice([chain for chain in chains if chain]).pop(0))

    assert verified(trail).verdict == "whole"
