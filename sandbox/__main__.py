"""`python -m sandbox`: run the sandbox alone until it is told to stop."""

from __future__ import annotations

import argparse
import signal
import threading
from typing import TYPE_CHECKING

from sandbox.server import running_sandbox

if TYPE_CHECKING:
    from sandbox.state import SandboxState


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sandbox", description="a stand-in B2B Edition API")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8765, help="port; 0 takes any free one")
    parser.add_argument("--empty", action="store_true", help="start without the seeded stores")
    return parser.parse_args()


def _describe_stores(state: SandboxState) -> None:
    # These credentials open nothing but this sandbox.
    for store in state.stores.values():
        print(f"  store {store.store_hash}")
        for user in store.users.values():
            print(f"    {user.role:<14}{user.email} / {user.password}")
        for access_token in store.access_tokens:
            print(f"    access token  {access_token}")


def main() -> None:
    """Run until SIGINT or SIGTERM."""
    options = _options()
    told_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told_to_stop.set())
    with running_sandbox(options.port, host=options.host, empty=options.empty) as sandbox:
        print(f"sandbox upstream on {sandbox.url}", flush=True)
        _describe_stores(sandbox.state)
        told_to_stop.wait()


if __name__ == "__main__":
    main()
