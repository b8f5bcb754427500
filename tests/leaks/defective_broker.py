"""A broker with defects: ``python -m tests.leaks.defective_broker``. What its adapters do is done, and then fails with every secret told.

A real defect may raise anything: here the text of the error, and the errors behind it, hold all that the failing function was given.
"""

from collections.abc import Callable
from typing import Any

from service.adapters.logs import configure_logs
from service.adapters.redis_references import RedisReferences
from service.adapters.stores_dir import StoresDirectory
from service.adapters.upstream import B2BUpstream
from service.core.secret import Secret
from service.server import BrokerServer
from service.settings import load_settings

DEFECTS = (
    (B2BUpstream, "issue"),
    (B2BUpstream, "exchange"),
    (B2BUpstream, "check"),
    (RedisReferences, "mint"),
    (StoresDirectory, "find"),
)


def main() -> None:
    """Serve until told to stop."""
    for holder, name in DEFECTS:
        setattr(holder, name, _failing(getattr(holder, name)))
    settings = load_settings()
    configure_logs(settings.log_level)
    BrokerServer(settings).run()


def _failing(original: Callable[..., Any]) -> Callable[..., Any]:
    def fail(*args: Any, **options: Any) -> Any:
        result = original(*args, **options)
        told = " ".join(_told(value) for value in (*args[1:], *options.values(), result))
        error = RuntimeError(told)
        error.add_note(told)
        raise error from ValueError(told)

    return fail


def _told(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, tuple | list):
        return " ".join(map(_told, value))
    fields = getattr(value, "__dataclass_fields__", {})
    return repr(value) + " ".join(_told(getattr(value, name)) for name in fields)


if __name__ == "__main__":
    main()
