"""``make demo`` and ``make run``."""

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from sandbox.demo.processes import StackError
from sandbox.demo.stack import Stack, running_stack
from sandbox.demo.story import EMAIL, PASSWORD, STORE, WORKER, StoryError, tell

_OWNER_ONLY = 0o600


def main() -> int:
    """Run the stack, and tell the story or wait."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument("--keep-running", action="store_true", help="serve until interrupted")
    keep_running = parser.parse_args().keep_running
    with tempfile.TemporaryDirectory(prefix="b2b-broker-") as folder:
        print("Starting Valkey, the sandbox upstream and the broker …", flush=True)
        try:
            with running_stack(Path(folder)) as stack:
                if keep_running:
                    return _serve(stack)
                steps = tell(stack, lambda line: print(line, flush=True))
        except (StackError, StoryError) as error:
            print(f"\n{error}", file=sys.stderr)
            return 1
    print(f"\nAll {steps} steps did what they say.")
    return 0


def _serve(stack: Stack) -> int:
    people = {
        "operator": stack.identities.person("ops-anna"),
        "order-sync": stack.identities.workload("commerce", "order-sync"),
        "order-worker": stack.identities.workload("commerce", "order-worker"),
    }
    for name, token in people.items():
        _write(stack.folder / f"{name}.header", f"Authorization: Bearer {token}\n")
    credential = {"kind": "b2b_password", "email": EMAIL, "password": PASSWORD}
    _write(stack.folder / "store.json", json.dumps({"credential": credential}))
    print(_commands(stack), flush=True)
    stopped = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopped)
    signal.sigwait(stopped)
    return 0


def _write(path: Path, content: str) -> None:
    """Write a file that only its owner reads: curl takes secrets from it, so that none is an argument."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)


def _commands(stack: Stack) -> str:
    wanted = json.dumps({"store_hash": STORE, "audience": WORKER})
    return f"""
The broker is at {stack.url} (documentation: {stack.url}/docs), health and metrics at http://127.0.0.1:{stack.ops_port}.
Paste these into another terminal, in this order; each caller's token is in a header file, so that it is no argument.

cd {stack.folder}

# An operator registers the store.
curl -sS -w '\\n' -X PUT -H @operator.header -H 'Content-Type: application/json' -d @store.json {stack.url}/v1/stores/{STORE}

# The order-sync service mints a reference for the order-worker service, and keeps it in a header file.
curl -sS -H @order-sync.header -H 'Content-Type: application/json' -d '{wanted}' {stack.url}/v1/references \\
  | python3 -c 'import json,sys; print("Broker-Reference:", json.load(sys.stdin)["reference"])' > reference.header

# The order-worker service calls B2B Edition through the broker.
curl -sS -w '\\n' -H @order-worker.header -H @reference.header '{stack.url}/v1/proxy/api/v3/io/companies?limit=2'

# The operator looks at the store, the live references and the audit trail.
curl -sS -w '\\n' -H @operator.header {stack.url}/v1/stores/{STORE}
curl -sS -w '\\n' -H @operator.header '{stack.url}/v1/references?store_hash={STORE}'
tail -n 5 audit.jsonl

Ctrl-C stops everything and removes the folder."""


if __name__ == "__main__":
    sys.exit(main())
