"""docs/operations.md, taken apart: its runbooks, and the commands in them."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"(?:<!-- not run: (.+) -->\n)?^```bash\n(.+?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """Commands as they are copied.

    Attributes:
        text: Lines.
        not_run: Why no test runs them; empty if one does.
    """

    text: str
    not_run: str


def sections() -> dict[str, tuple[str, str]]:
    """Return every heading's chapter and text, in the order of the page."""
    found: dict[str, tuple[str, str]] = {}
    chapter = ""
    _, *parts = _HEADING.split(PAGE)
    for level, heading, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        chapter = heading if level == "#" else chapter
        found[heading] = chapter, text
    return found


def runbooks(chapter: str) -> dict[str, str]:
    """Return the runbooks of a chapter: heading → text."""
    return {
        heading: text
        for heading, (where, text) in sections().items()
        if where == chapter != heading
    }


def blocks(text: str) -> list[Block]:
    """Return the commands in a text."""
    return [Block(found[2], found[1] or "") for found in _BLOCK.finditer(text)]


def anchor(heading: str) -> str:
    """Return how a heading is linked to."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
