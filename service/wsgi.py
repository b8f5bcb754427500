"""What gunicorn imports in each worker. The broker is built after the fork, so that nothing is shared between workers."""

import structlog

from service.adapters.logs import count_lost_lines
from service.adapters.process_hardening import harden_process
from service.app import build_broker
from service.settings import load_settings
from service.web.edge import create_app

if not harden_process():
    structlog.get_logger().warning("process_memory_readable_by_its_user")
broker = build_broker(load_settings())
count_lost_lines(broker.metrics.log_line_lost)
broker.start()
application = create_app(broker.edge)
