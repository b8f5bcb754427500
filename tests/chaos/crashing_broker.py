"""The broker as it is, with crash points around its adapters and with short spans: ``python -m tests.chaos.crashing_broker``.

What takes minutes in production takes seconds here, so that a proof ends: the lease (``LEASE_MARGIN_SECONDS``, beside twice the
upstream's time-out), how long the upstream may still carry out an attempt, how often and how soon stores are looked at, how long a
previous token stays. Everything else is the installed broker: same settings, same gunicorn, same processes.
"""

import os
from datetime import timedelta
from typing import Any

import service.app
import service.core.key_agreement
import service.core.maintenance
import service.core.orphans
import service.core.rewrapper
from service.adapters.logs import configure_logs
from service.server import BrokerServer
from service.settings import Settings, load_settings
from tests.chaos.crash_points import HalfAnswered, put_points

SPANS = {
    (service.app, "_MAINTAIN_EVERY"): timedelta(seconds=0.1),
    (service.app, "_RELOAD_EVERY"): timedelta(seconds=0.1),
    (service.core.key_agreement, "ANNOUNCED_FOR"): timedelta(seconds=2),
    (service.core.rewrapper, "TERM"): timedelta(seconds=0.4),
    (service.core.maintenance, "TERM"): timedelta(seconds=0.4),
    (service.core.maintenance, "AGAIN"): timedelta(seconds=1),
    (service.core.orphans, "LATE_EFFECT"): timedelta(seconds=4),
    (Settings, "previous_token_span"): timedelta(seconds=1),
}


class CrashingServer(BrokerServer):
    """The broker's server, whose workers can be made to die at a point."""

    def load(self) -> Any:
        """Return the application, in the worker that serves it."""
        put_points()
        return HalfAnswered(super().load())


def shorten_spans() -> None:
    """Make a proof end within seconds."""
    margin = timedelta(seconds=float(os.environ["LEASE_MARGIN_SECONDS"]))
    for (holder, name), span in {**SPANS, (service.app, "_MARGIN"): margin}.items():
        # Asked for first: one that was renamed would make everything slow, and silently so.
        getattr(holder, name)
        setattr(holder, name, span)


def main() -> None:
    """Serve until killed, in a process group of its own, so that all of it can be killed at once."""
    os.setpgid(0, 0)
    shorten_spans()
    settings = load_settings()
    configure_logs(settings.log_level)
    CrashingServer(settings).run()


if __name__ == "__main__":
    main()
