"""The writers' signed heads in Redis. Fulfils ``HeadTable``."""

from datetime import datetime, timedelta

from service.adapters.redis_link import PARTITION, RedisLink, Script
from service.core.clock import to_millis

_MILLISECOND = timedelta(milliseconds=1)
# They concern the whole installation, so they lie in the first partition.
_WHOLE = PARTITION["00"]
_HEADS, _RECENT, _WRITERS = (_WHOLE.key("audit", name) for name in ("heads", "recent", "writers"))


class RedisHeads:
    """A head for each writer, found by name and by time."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._note = Script("head")
        self._page = Script("heads")

    def note(
        self,
        writer: str,
        signed: str,
        now: datetime,
        spans: tuple[timedelta, timedelta],
        limit: int,
    ) -> list[str]:
        """See ``HeadTable.note``."""
        kept, recent = (span // _MILLISECOND for span in spans)
        millis = to_millis(now)
        found = self._link.run(
            self._note,
            [_HEADS, _RECENT, _WRITERS],
            [writer, signed, millis, millis - kept, millis - recent, limit],
        )
        return [head.decode("utf-8", "replace") for head in found if head]

    def page(self, after: str, limit: int) -> list[tuple[str, str]]:
        """See ``HeadTable.page``."""
        found = self._link.read(self._page, [_HEADS, _WRITERS], [after, limit])
        texts = [part.decode("utf-8", "replace") for part in found]
        return list(zip(texts[::2], texts[1::2], strict=True))
