"""What commands take: names and files that are checked before anything is sent, and examples that every ``--help`` ends with."""

import re

import click

from service.cli.exits import Exit
from service.core.reference import parse_accessor

_STORE_HASH = re.compile(r"[a-z0-9]{4,20}", re.ASCII)


class UnusableFileError(click.ClickException):
    """A file that the command line names cannot be read, or holds something else."""

    exit_code = Exit.WRONG_USAGE


class StoreHash(click.ParamType[str]):
    """A store's hash: what is none could name another path of the API."""

    name = "store_hash"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See ``click.ParamType``."""
        if not _STORE_HASH.fullmatch(value):
            self.fail("a store hash is 4 to 20 lower-case letters and digits", param, ctx)
        return value


class Accessor(click.ParamType[str]):
    """A reference's public name."""

    name = "accessor"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See ``click.ParamType``."""
        if parse_accessor(value) is None:
            # What looks like one may be a reference itself, which does not belong in a shell's history: it is not repeated.
            self.fail("an accessor begins with cba_; a reference is given by file", param, ctx)
        return value


STORE_HASH = StoreHash()
ACCESSOR = Accessor()


def examples(*lines: str) -> str:
    """Return the end of a command's help: lines as they are typed."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
