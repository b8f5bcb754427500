"""The audit trail's files, read line by line in the order in which they were written."""

import contextlib
import gzip
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import click

from service.cli.parameters import UnusableFileError
from service.core.audit_lines import UnreadableLineError, entries_of, read_entry
from service.core.audit_report import Place

STDIN = "-"
_LONGEST = 64 * 1024
"""Longer lines are taken in pieces; an entry never is one."""
_SHOWN_EVERY = 1000

files_argument = click.argument("files", nargs=-1, required=True, metavar="FILE...")


def read_files(files: Sequence[str]) -> Iterator[tuple[Place, bytes]]:
    """Yield every line, of the oldest file first, with a progress bar on a terminal. ``-`` is standard input; ``.gz`` is unpacked.

    Raises:
        UnusableFileError: A file cannot be read, or is named twice.
    """
    for file in set(files):
        if files.count(file) > 1:  # each of its entries would count as one that somebody repeated
            raise UnusableFileError(f"{file} is named twice")
    in_order = sorted(files, key=_began) if len(files) > 1 else list(files)
    length = sum(map(_size, in_order))
    with click.progressbar(
        length=length, label="reading", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        before = 0
        for file in in_order:
            for place, line, position in _lines(file):
                yield place, line
                if place.line % _SHOWN_EVERY == 0:
                    bar.update(before + position - bar.pos)
            before += _size(file)


def _size(file: str) -> int:
    """Return how many bytes a file has; none for what comes on standard input."""
    try:
        return 0 if file == STDIN else Path(file).stat().st_size
    except OSError:
        raise UnusableFileError(f"{file} cannot be read") from None


def _began(file: str) -> str:
    """Return the time of a file's first entry."""
    for _, line, _ in _lines(file):
        for entry in entries_of(line):
            with contextlib.suppress(UnreadableLineError):
                return read_entry(entry).time.isoformat()
    return ""


def _lines(file: str) -> Iterator[tuple[Place, bytes, int]]:
    """Yield the lines of a file, and how many of its bytes were read by then."""
    try:
        if file == STDIN:
            yield from ((*pair, 0) for pair in _numbered(file, sys.stdin.buffer))
            return
        with Path(file).open("rb") as raw:
            stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if file.endswith(".gz") else raw  # type: ignore[assignment]  # both have readline
            yield from ((*pair, raw.tell()) for pair in _numbered(file, stream))
    except (OSError, EOFError):
        raise UnusableFileError(f"{file} cannot be read") from None


def _numbered(file: str, stream: IO[bytes]) -> Iterator[tuple[Place, bytes]]:
    number = 1
    while line := stream.readline(_LONGEST):
        yield Place(file, number), line
        number += line.endswith(b"\n")
