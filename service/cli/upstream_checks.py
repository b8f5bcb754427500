"""``broker doctor``: the way to the upstream, and its clock."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from service.adapters.circuit import Circuit
from service.adapters.upstream_link import UpstreamLink
from service.app import now
from service.cli.finding import Finding, ok, skipped
from service.core.errors import UpstreamError
from service.core.upstream_ports import ProxyRequest
from service.outside import upstream_link
from service.settings import Settings

_MOST_SKEW = timedelta(seconds=30)
_PROBE = ProxyRequest("GET", "/", (("Accept", "*/*"),))


def check_upstream(settings: Settings) -> list[Finding]:
    """Ask the upstream for something harmless, without a token: any answer shows that the way is open."""
    link = upstream_link(settings, Circuit())
    try:
        asked_at = now()
        status, date = _ask(link)
        answered_at = now()
    except UpstreamError as error:
        away = Finding(
            "upstream",
            "failed",
            f"{error.reason} at {settings.upstream_url}",
            "No token is made, and the proxy answers 502 or 504. References can still be minted and redeemed.",
            "See DNS, egress rules (port 443), BROKER_UPSTREAM_CA_FILE behind an intercepting proxy, and the upstream's status page."
            " address_not_global: the name leads into a private network.",
        )
        return [away, skipped("upstream clock", "the upstream does not answer")]
    reached = ok("upstream", f"answers {status} at {settings.upstream_url}")
    if date is None:
        return [reached, skipped("upstream clock", "its answer has no date")]
    return [reached, judge_clock(date, asked_at, answered_at)]


def _ask(link: UpstreamLink) -> tuple[int, datetime | None]:
    response = link.exchange(_PROBE)
    try:
        return response.status, _date(response.header("Date"))
    finally:
        response.close()


def _date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except ValueError:
        return None


def judge_clock(date: datetime, asked_at: datetime, answered_at: datetime) -> Finding:
    """Return what to think of a date that was given between two moments."""
    skew = max(asked_at - date, date - answered_at, timedelta(0))
    shown = f"{skew.total_seconds():.0f} s apart"
    if skew <= _MOST_SKEW:
        return ok("upstream clock", shown)
    return Finding(
        "upstream clock",
        "failed",
        shown,
        "Callers' tokens are refused as expired or not valid yet, or taken for too long; audit entries have wrong times.",
        "Let this host follow a time source (chrony, systemd-timesyncd).",
    )
