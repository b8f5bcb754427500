"""A hardened process: closed to others of its user, no core after a crash, and still able to do what a broker does."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.peers import INSIDES, ORDINARILY, seen_by_peers

ROOT = Path(__file__).parents[2]
SECRET = "canary-in-a-local-variable-6b2e"
_HARDEN = "from service.adapters.process_hardening import harden_process; harden_process()"
_WAIT = "print('ready', flush=True); sys.stdin.read()"
_CRASH = f"""
import os, resource, signal
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
{{hardening}}
def crashing():
    password = "{SECRET}"
    os.kill(os.getpid(), signal.SIGSEGV)
crashing()
"""


def _python(code: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603 — code of our own
        [*ORDINARILY, sys.executable, "-c", f"import sys\n{code}"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("hardening", "seen"), [(_HARDEN, set()), ("", set(INSIDES))])
def test_peers_see_the_insides_of_a_process_unless_it_is_hardened(
    tmp_path: Path, hardening: str, seen: set[str]
) -> None:
    """Environment, memory and open files, as another process of the same user asks for them; the second row is the control."""
    with _python(f"{hardening}\n{_WAIT}", tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()

        found = seen_by_peers(process.pid)

    assert found == seen


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_CORE)[1] == 0, reason="nothing can leave a core here"
)
@pytest.mark.parametrize(("hardening", "end"), [(_HARDEN, os.CLD_KILLED), ("", os.CLD_DUMPED)])
def test_a_crash_leaves_a_core_unless_the_process_is_hardened(
    tmp_path: Path, hardening: str, end: int
) -> None:
    """The kernel tells whether it made one, wherever it would go; the second row is the control."""
    with _python(_CRASH.format(hardening=hardening), tmp_path) as process:
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert ended is not None
    assert (ended.si_code, ended.si_status) == (end, signal.SIGSEGV)


def test_a_crash_tells_where_it_was_and_nothing_of_what_was_there(tmp_path: Path) -> None:
    """Function and line on standard error, no variable."""
    with _python(_CRASH.format(hardening=_HARDEN), tmp_path) as process:
        _, told = process.communicate()

    assert "in crashing" in told
    assert SECRET not in told


def test_the_limit_cannot_be_raised_again(tmp_path: Path) -> None:
    """Soft and hard limit are both zero, for what it starts as well."""
    code = f"{_HARDEN}\nimport resource\nprint(resource.getrlimit(resource.RLIMIT_CORE))"
    with _python(code, tmp_path) as process:
        told, _ = process.communicate()

    assert told == "(0, 0)\n"


def test_a_hardened_process_opens_its_own_streams_by_name(tmp_path: Path) -> None:
    """``/dev/stdout`` leads through ``/proc/self``, which is root's now; an audit file may well be named so."""
    code = f"{_HARDEN}\nwith open('/dev/stdout', 'a') as stream: stream.write('an entry')"
    with _python(code, tmp_path) as process:
        told, errors = process.communicate()

    assert (told, errors) == ("an entry", "")
