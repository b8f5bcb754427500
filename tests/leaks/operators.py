"""What operators do beside registering stores: keys, locks, the audit trail, and looking whether all is well."""

import subprocess
import sys
from pathlib import Path

from sandbox.demo.processes import wait_until
from sandbox.demo.stack import ROOT
from tests.leaks.arena import PLANTED, Arena
from tests.leaks.traffic import COMPANIES, arena_store


def run(arena: Arena, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command as the operator, where the broker runs, and keep what it shows."""
    token, authority = (arena.given / name for name in ("operator", "leaks.crt"))
    token.write_text(arena.service.operator, "utf-8")
    done = subprocess.run(  # noqa: S603 — arguments of our own
        [sys.executable, "-m", "service.cli", *arguments],
        env={
            **arena.settings,
            "PYTHONPATH": str(ROOT),
            "B2B_BROKER_URL": f"https://localhost:{arena.service.stack.port}",
            "B2B_BROKER_TOKEN_FILE": str(token),
            "B2B_BROKER_CA_FILE": str(authority),
        },
        capture_output=True,
        check=False,
    )
    arena.saw("commands", done.stdout + done.stderr)
    return done


def locked(arena: Arena) -> None:
    """A store, and then all, are locked and unlocked; what is no reason for it may be a secret that was pasted."""
    ask, service = arena.recorder.ask, arena.service
    store = arena_store(arena)
    reference = service.mint(store)
    pasted = arena.token("a secret where a reason belongs")
    for on, off in ((f"/v1/stores/{store}/lock", f"/v1/stores/{store}/unlock"), ("/v1/lock", "/v1/unlock")):  # fmt: skip
        for body in ({"reason": f"{pasted}\n"}, {"reason": [pasted]}, {pasted: 1}, pasted):
            assert ask(service.operator, "POST", on, body).status == 422
        assert ask(service.operator, "POST", on, {"reason": PLANTED}).status == 200
        assert ask(service.worker, "GET", COMPANIES, Broker_Reference=reference).status == 423
        assert run(arena, "locks").returncode == 0
        assert ask(service.operator, "POST", off).status == 200
    assert ask(service.worker, "GET", COMPANIES, Broker_Reference=reference).status == 200


def keys_rotated(arena: Arena) -> None:
    """Everything is sealed again under a key that Vault wrapped, which is not let go of then."""
    arena_store(arena)
    folder = Path(arena.settings["BROKER_KEYRING_DIR"])
    (folder / "primary").write_text("by-vault", "ascii")
    asked = ("keys", "rewrap", "--no-wait", "--json")
    wait_until("it seals", lambda: b"by-vault" in run(arena, *asked).stdout, 30)
    for command, code in (("rewrap", 0), ("list", 0), ("retire by-vault", 1)):
        assert run(arena, "keys", *command.split()).returncode == code


def key_services_away(arena: Arena) -> None:
    """Vault and AWS KMS refuse, and show back what they were asked: a broker that starts then is locked."""
    service = arena.service
    for wrapper in (arena.vault, arena.kms):
        wrapper.refuses = 400
        with arena.another_broker({}) as (locked_out, recorder):
            assert recorder.ask(service.operator, "GET", "/v1/stores").status == 503
            assert locked_out.stack.broker.is_running()
        assert b"FAIL  keyring" in run(arena, "doctor").stdout
        for wrap in ("vault", "aws-kms"):
            run(arena, "keys", "new", str(arena.given / "more"), "--id", wrap, "--wrap", wrap)
        wrapper.refuses = 0


def trail_verified(arena: Arena) -> None:
    """The heads are exported, and the trail is verified and searched with them, while the broker goes on writing it."""
    trail = str(arena.service.stack.audit_file)
    public = f"{arena.settings['BROKER_AUDIT_SIGNING_KEY_FILE']}.pub"
    assert run(arena, "audit", "heads").returncode == 0
    assert run(arena, "audit", "verify", trail, "--online", "--public-key", public).returncode in (
        0,
        4,
    )
    assert run(arena, "audit", "query", trail, "--json").returncode == 0
    assert b"ok    keyring" in run(arena, "doctor").stdout
