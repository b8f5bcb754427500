"""What the exit codes of every command mean. docs/cli.md shows the same; a test compares."""

from enum import IntEnum


class Exit(IntEnum):
    """An exit code."""

    DONE = 0
    REFUSED = 1
    WRONG_USAGE = 2
    UNAVAILABLE = 3
    UNPROVEN = 4


MEANINGS = {
    Exit.DONE: "done; of a check: nothing is wrong, it is allowed, nothing changes",
    Exit.REFUSED: "refused by the broker, forbidden by the state, declined by you, or a check found something",
    Exit.WRONG_USAGE: "the command line is wrong, or a file that it names cannot be used; nothing was sent",
    Exit.UNAVAILABLE: "the broker, Redis or the upstream could not do it now: asking again may help",
    Exit.UNPROVEN: "of an audit trail: nothing is wrong, but a chain, or the end of one, has no head that vouches for it",
}
