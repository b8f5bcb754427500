"""The folder in which workers count: what a killed broker leaves goes, and what is in use stays."""

import subprocess
import sys
from pathlib import Path

from service.adapters.counting_folder import PREFIX, counting_folder, remove

ROOT = Path(__file__).resolve().parents[2]
_MAKER = """
import sys
from pathlib import Path
from service.adapters.counting_folder import counting_folder
print(counting_folder(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def _maker(place: Path) -> "tuple[subprocess.Popen[str], Path]":
    """Start a process that makes a folder and keeps it, and return the process and the folder."""
    process = subprocess.Popen(  # noqa: S603 — our own interpreter and code
        [sys.executable, "-c", _MAKER, str(place)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_broker_left_goes_and_what_is_in_use_stays(tmp_path: Path) -> None:
    """A lock tells, which ends with the process that holds it."""
    with_counts, left = _maker(tmp_path)
    living, in_use = _maker(tmp_path)
    (left / "counter_1.db").write_bytes(b"counts")
    with_counts.kill()
    with_counts.communicate()

    made = counting_folder(tmp_path)

    found = set(tmp_path.iterdir())
    living.communicate("")
    assert found == {in_use, made}


def test_nothing_else_is_ever_removed(tmp_path: Path) -> None:
    """Neither a link to elsewhere, nor a file, nor a folder of another name."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    place = tmp_path / "place"
    place.mkdir()
    (place / f"{PREFIX}link").symlink_to(precious)
    (place / f"{PREFIX}file").write_text("kept")
    (place / "other").mkdir()

    counting_folder(place)
    remove(precious)

    assert (precious / "file").exists()
    assert {path.name for path in place.iterdir()} >= {f"{PREFIX}link", f"{PREFIX}file", "other"}


def test_a_folder_is_its_makers_alone(tmp_path: Path) -> None:
    """Nobody else on the machine reads or changes counts."""
    folder = counting_folder(tmp_path)

    assert folder.stat().st_mode & 0o077 == 0
    remove(folder)
    assert not folder.exists()
