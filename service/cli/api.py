"""How the commands reach a running broker: its HTTP API, as any caller, with a proof of identity from a file.

A problem of the broker becomes an exit code (``exits.py``): 4xx is a refusal, 5xx and no connection are something to try again.
"""

import functools
import ipaddress
import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import click
import urllib3
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from service.cli.exits import Exit
from service.cli.parameters import UnusableFileError

Json = dict[str, Any]
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# An issue may take as long as the upstream does; the broker bounds that itself.
_TIMEOUT = urllib3.Timeout(connect=5, read=330)
_ENVIRONMENT = "B2B_BROKER_"
# What the broker cannot say, because it does not know of this command line.
_HINTS = {
    401: "\n  prove who you are: --token-file, --key-file or --cert-file",
    403: "\n  see what you may do: broker whoami, broker access explain",
    423: "\n  see who locked it and why: broker locks",
}


class RefusedError(click.ClickException):
    """The broker refused, or the state forbids it."""

    exit_code = Exit.REFUSED


class UnavailableError(click.ClickException):
    """The broker or the upstream could not do it now."""

    exit_code = Exit.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Reach:
    """Where the broker is, and how to prove who is asking.

    Attributes:
        url: Of the API.
        token_file: Holds a workload token.
        key_file: Holds an API key.
        cert_file: A client certificate chain.
        cert_key_file: Its key.
        ca_file: Whom to trust as the broker; empty for the system's.
    """

    url: str
    token_file: str
    key_file: str
    cert_file: str
    cert_key_file: str
    ca_file: str


class Api:
    """Asks the API."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._pool = _pool(reach)

    def ask(
        self, method: str, path: str, body: Json | None = None, query: Json | None = None
    ) -> Json:
        """Return the answer's document; empty for none.

        Args:
            method: The HTTP method.
            path: Segments with slashes; each is quoted.
            body: What to send.
            query: Parameters; those that are None are left out.

        Raises:
            RefusedError, UnavailableError: The broker did not do it.
        """
        target = quote(path)
        given = {name: value for name, value in (query or {}).items() if value is not None}
        if given:
            target += f"?{urlencode(given)}"
        headers = {"Accept": "application/json", **self._proof()}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        try:
            response = self._pool.urlopen(
                method, target, content, headers, retries=False, redirect=False, timeout=_TIMEOUT
            )
        except HTTPError as error:
            kind = type(error).__name__
            raise UnavailableError(
                f"the broker cannot be reached at {self._reach.url} ({kind})"
            ) from None
        return _document(response)

    def pages(self, path: str, name: str, query: Json | None = None) -> Iterator[Json]:
        """Yield the members of every page of a list."""
        cursor = None
        while True:
            page = self.ask("GET", path, query={**(query or {}), "cursor": cursor})
            yield from page[name]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _proof(self) -> dict[str, str]:
        if self._reach.token_file:
            return {"Authorization": f"Bearer {read_secret(self._reach.token_file)}"}
        if self._reach.key_file:
            return {"Broker-Key": read_secret(self._reach.key_file)}
        return {}


def reaches_broker(
    command: Callable[Parameters, Result],
) -> Callable[Parameters, Result]:
    """Give a command the options that say where the broker is, and pass it an ``Api`` as ``api``."""

    @click.option(
        "--url",
        envvar=f"{_ENVIRONMENT}URL",
        default="http://127.0.0.1:8080",
        show_default=True,
        help="Of the API.",
    )
    @click.option(
        "--token-file",
        envvar=f"{_ENVIRONMENT}TOKEN_FILE",
        default="",
        help="File with a workload token.",
    )
    @click.option(
        "--key-file", envvar=f"{_ENVIRONMENT}KEY_FILE", default="", help="File with an API key."
    )
    @click.option(
        "--cert-file",
        envvar=f"{_ENVIRONMENT}CERT_FILE",
        default="",
        help="Client certificate chain.",
    )
    @click.option(
        "--cert-key-file", envvar=f"{_ENVIRONMENT}CERT_KEY_FILE", default="", help="Its key."
    )
    @click.option(
        "--ca-file",
        envvar=f"{_ENVIRONMENT}CA_FILE",
        default="",
        help="Whom to trust as the broker; default: the system's.",
    )
    @functools.wraps(command)
    def reaching(
        *args: Any,
        url: str,
        token_file: str,
        key_file: str,
        cert_file: str,
        cert_key_file: str,
        ca_file: str,
        **options: Any,
    ) -> Result:
        if token_file and key_file:
            # Either may come from the environment: nobody should act as somebody else than they think.
            raise click.UsageError(
                f"--token-file and --key-file (or {_ENVIRONMENT}TOKEN_FILE and {_ENVIRONMENT}KEY_FILE) are two proofs: give one"
            )
        reach = Reach(url, token_file, key_file, cert_file, cert_key_file, ca_file)
        return command(*args, api=Api(reach), **options)  # type: ignore[arg-type]  # the decorator adds a parameter

    return reaching  # type: ignore[return-value]  # the decorator takes one away


def read_secret(path: str) -> str:
    """Return the one line of a file that holds a secret.

    Raises:
        UnusableFileError: It cannot be read, or holds something else.
    """
    try:
        content = Path(path).read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError):
        raise UnusableFileError(f"{path} cannot be read") from None
    if not content or not content.isprintable():
        raise UnusableFileError(f"{path} does not hold one line of text")
    return content


def _pool(reach: Reach) -> HTTPConnectionPool:
    parts = urlsplit(reach.url)
    try:
        port = parts.port
    except ValueError:
        raise click.UsageError("the port in --url is none") from None
    if parts.path.strip("/") or parts.query or parts.username:
        raise click.UsageError("--url is scheme, host and port, and nothing behind them")
    if parts.scheme == "http" and parts.hostname:
        if not _is_here(parts.hostname):
            click.echo(
                "warning: plain HTTP: passwords and tokens can be read on their way", err=True
            )
        return HTTPConnectionPool(parts.hostname, port)
    if parts.scheme != "https" or not parts.hostname:
        raise click.UsageError("--url is http://… or https://… with a host")
    try:
        context = ssl.create_default_context(cafile=reach.ca_file or None)
    except OSError:
        raise click.UsageError("--ca-file is not a file with certificates") from None
    if reach.cert_file:
        try:
            context.load_cert_chain(reach.cert_file, reach.cert_key_file or None)
        except OSError:
            raise click.UsageError(
                "--cert-file and --cert-key-file are not a certificate and the key to it"
            ) from None
    return HTTPSConnectionPool(parts.hostname, port, ssl_context=context)


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine, so that nothing leaves it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _document(response: BaseHTTPResponse) -> Json:
    status = response.status
    try:
        document = json.loads(response.data) if response.data else {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UnavailableError(f"the answer (status {status}) is not one of a broker's")
    if status >= 400:  # noqa: PLR2004 — a problem
        _raise_problem(status, document, response.headers.get("Retry-After", ""))
    return document


def _raise_problem(status: int, problem: Json, retry_after: str) -> NoReturn:
    reason = problem.get("reason")
    because = f" ({reason})" if reason else ""
    fields = "".join(f"\n  {e['where']}: {e['rule']}" for e in problem.get("errors", []))
    again = f"\n  ask again in {retry_after} s" if retry_after.isdigit() else ""
    text = (
        f"{problem.get('title')}{because}: {problem.get('detail')}{fields}"
        f"\n  status {status}, request {problem.get('request_id')}"
        f"{again}{_HINTS.get(status, '')}"
    )
    raise (RefusedError if status < 500 else UnavailableError)(text)  # noqa: PLR2004 — 5xx
