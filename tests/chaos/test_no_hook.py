"""What makes the broker die on purpose is no part of it: nothing that is installed knows of crash points."""

import re
from pathlib import Path

import service
from sandbox.demo.stack import ROOT

WORDS = re.compile(
    r"crash_|CRASH|SIGKILL|SIGSTOP|os\.kill|os\.abort|os\._exit|killpg|faulthandler\._"
)


def test_nothing_that_is_installed_can_be_told_to_crash() -> None:
    """The wheel holds the package ``service`` alone, and no file of it imports from the tests or ends its process."""
    files = [path for path in Path(service.__file__).parent.rglob("*") if path.is_file()]
    sources = {path: path.read_text("utf-8") for path in files if path.suffix in (".py", ".lua")}

    assert 'packages = ["service"]' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert len(sources) > 50
    assert not [path for path, source in sources.items() if WORDS.search(source)]
    assert not [
        path for path, source in sources.items() if re.search(r"(from|import) tests\b", source)
    ]
