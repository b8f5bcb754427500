"""``python -m service.cli`` is ``broker``."""

from service.cli import run

run()
