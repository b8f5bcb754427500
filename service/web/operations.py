"""Every operation of the API, once: routing, documentation and the tests of both read this list."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from werkzeug import Request

from service.core.audit_keeping import HeadReader
from service.core.explaining import Explaining
from service.core.gate import Call, Gate
from service.core.keys import Keys
from service.core.locks import Locks
from service.core.minting import Minter
from service.core.ports import AccessSource, KeyringSource
from service.core.proxy import Proxy
from service.core.references import References
from service.core.stores import Stores
from service.core.uses import Uses
from service.web.bulkhead import Bulkhead
from service.web.callers import Callers
from service.web.crowd import Crowd
from service.web.spans import Trace, untraced


@dataclass(frozen=True, slots=True)
class Edge:
    """What the edge stands on.

    Attributes:
        access: Gives the access file's snapshot in force.
        callers: Finds out who is calling.
        keyring: Asked before anything else, so that a locked broker says so to everybody.
        gate: Records who could not prove who they are.
        stores: Use cases.
        locks: Use cases.
        minter: The use case of minting.
        uses: The use case of redeeming; the proxy's stands on it too.
        references: Use cases about references that there are.
        keys: Use cases.
        proxy: The use case.
        explaining: The use case about policy.
        heads: The use case about the audit trail's heads.
        base_url: Of the upstream, for those who redeem.
        crowd: Keeps callers who wait for one store from taking every thread.
        bulkhead: Keeps one caller's requests through the proxy from it.
        observe: Told route, method, status and seconds of every request.
        trace: Begins the span of every request.
    """

    access: AccessSource
    callers: Callers
    keyring: KeyringSource
    gate: Gate
    stores: Stores
    locks: Locks
    minter: Minter
    uses: Uses
    references: References
    keys: Keys
    proxy: Proxy
    explaining: Explaining
    heads: HeadReader
    base_url: str
    crowd: Crowd
    bulkhead: Bulkhead
    observe: Callable[[str, str, int, float], None]
    trace: Trace = untraced


@dataclass(frozen=True, slots=True)
class Asked:
    """One authenticated request, read.

    Attributes:
        edge: The use cases.
        call: Who asks.
        request: As it came in.
        path: The variables of the path.
    """

    edge: Edge
    call: Call
    request: Request
    path: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answered:
    """What to answer: a status and a document, or nothing for 204."""

    status: int
    document: BaseModel | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the API.

    Attributes:
        method: The HTTP method.
        path: With variables in braces.
        name: Unique; the operation id.
        action: What it is called in the audit trail, and in policy where policy decides.
        summary: One line.
        run: What answers it.
        answers: The model of each success status; None for no body.
        body: The model of the request body.
        query: The model of the query.
        problems: The statuses of the problems that are its own.
        body_required: Whether the body may not be left out.
    """

    method: str
    path: str
    name: str
    action: str
    summary: str
    run: Callable[[Asked], Answered]
    answers: dict[int, Any]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    problems: tuple[int, ...] = field(default=())
    body_required: bool = True
