"""The demo is a test: a newcomer's first command does what it says."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from sandbox.demo.stack import ROOT

_ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


def test_the_demo_tells_its_story_and_shows_no_secret(tmp_path: Path) -> None:
    """Every step did what it says, and what is on the terminal is masked."""
    finished = subprocess.run(
        [sys.executable, "-m", "sandbox.demo"],
        env=_ENVIRONMENT | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    assert "All 9 steps did what they say." in finished.stdout
    assert "correct horse battery staple" not in finished.stdout
    assert "eyJ0eXAi" not in finished.stdout
    assert list(tmp_path.glob("b2b-broker-*/audit.jsonl")) == []


def test_the_commands_that_make_run_prints_work_when_pasted(tmp_path: Path) -> None:
    """A person who pastes them into a shell registers a store and calls the upstream."""
    running = subprocess.Popen(
        [sys.executable, "-m", "sandbox.demo", "--keep-running"],
        env=_ENVIRONMENT | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    printed = []
    for line in running.stdout:
        printed.append(line)
        if line.startswith("Ctrl-C"):
            break
    commands = "".join(printed).partition("\ncd ")[2].rpartition("\nCtrl-C")[0]

    pasted = subprocess.run(  # noqa: S603 — the commands are what is being tested
        ["/bin/sh", "-e", "-c", f"cd {commands}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    running.send_signal(signal.SIGINT)
    running.stdout.close()

    assert running.wait(timeout=30) == 0
    assert pasted.returncode == 0, pasted.stderr
    assert '"status":"active"' in pasted.stdout
    assert '"companyName"' in pasted.stdout
    assert '"action":"reference.use"' in pasted.stdout
