"""What gunicorn imports in each worker. The broker is built after the fork, so that nothing is shared between workers."""

from service.app import build_broker
from service.settings import load_settings
from service.web.edge import create_app

broker = build_broker(load_settings())
broker.start()
application = create_app(broker.edge)
