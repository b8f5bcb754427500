"""The story that the demo tells: every step is a real request to the running stack, checked before the next one is taken."""

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import urllib3

from sandbox.demo.stack import Stack

STORE = "abc123"
EMAIL = "owner@abc123.example"
PASSWORD = "correct horse battery staple abc123"
MINTER = "k8s:commerce/order-sync"
WORKER = "k8s:commerce/order-worker"
_SHOWN = 420
_COMPANIES = "/v1/proxy/api/v3/io/companies?limit=2"


class StoryError(Exception):
    """A step did not do what it says."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered with."""

    status: int
    headers: dict[str, str]
    body: Any


class Teller:
    """Makes requests as somebody, and shows them with every secret masked."""

    def __init__(self, stack: Stack, say: Callable[[str], None]) -> None:
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", stack.port, retries=False)
        self._tokens = {
            "operator": stack.identities.person("ops-anna"),
            "service A": stack.identities.workload("commerce", "order-sync"),
            "service B": stack.identities.workload("commerce", "order-worker"),
        }
        self.say = say
        self.secrets: list[str] = [PASSWORD]

    def ask(
        self, who: str, method: str, path: str, body: Any = None, reference: str | None = None
    ) -> Answer:
        """Make a request and show it."""
        headers = {"Authorization": f"Bearer {self._tokens[who]}"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body)
        if reference is not None:
            headers["Broker-Reference"] = reference
        self.say(f"  {who} → {method} {path}")
        if reference is not None:
            self.say(f"      Broker-Reference: {self._masked(reference)}")
        if content is not None:
            self.say(f"      {self._masked(content)}")
        response = self._pool.request(method, path, body=content, headers=headers, redirect=False)
        answer = Answer(response.status, dict(response.headers), _json(response.data))
        self._learn(answer.body)
        shown = self._masked(json.dumps(answer.body)) if answer.body is not None else ""
        self.say(f"    ← {answer.status} {_shortened(shown)}")
        return answer

    def _learn(self, body: Any) -> None:
        """Keep the secrets of an answer, to mask them and to search for them later."""
        if isinstance(body, dict):
            if "reference" in body:
                self.secrets.append(body["reference"])
            self.secrets.extend(body.get("headers", {}).values())

    def _masked(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, f"{secret[:6]}…(masked)")
        return text


def tell(stack: Stack, say: Callable[[str], None]) -> int:
    """Tell the story and return how many steps it has.

    Raises:
        StoryError: A step did not do what it says.
    """
    teller = Teller(stack, say)
    steps = 0

    def step(title: str) -> None:
        nonlocal steps
        steps += 1
        say(f"\n{steps}. {title}")

    credential = {"kind": "b2b_password", "email": EMAIL, "password": PASSWORD}
    step("An operator registers a store with the administrator's e-mail and password.")
    _expect(teller.ask("operator", "PUT", f"/v1/stores/{STORE}", {"credential": credential}), 201)
    _expect_live(stack, say, 1)

    step("Registering it again makes no second token.")
    _expect(teller.ask("operator", "PUT", f"/v1/stores/{STORE}", {"credential": credential}), 200)
    _expect_live(stack, say, 1)

    step("Service A mints a reference for service B: five minutes, reading companies and orders.")
    wanted = {"store_hash": STORE, "audience": WORKER}
    minted = _expect(teller.ask("service A", "POST", "/v1/references", wanted), 201)
    reference: str = minted["reference"]

    step("B calls B2B Edition through the broker. It never sees the token.")
    companies = _expect(teller.ask("service B", "GET", _COMPANIES, reference=reference), 200)
    _check(len(companies["data"]) == 2, "two companies came back")  # noqa: PLR2004 — the limit that was asked for

    step("The reference reaches no further than its request scope.")
    outside = "/v1/proxy/api/v3/io/users"
    _expect(teller.ask("service B", "GET", outside, reference=reference), 403)

    step("Where policy allows it, B redeems a single-use reference for the token's headers. Once.")
    wanted |= {"access": "redeem"}
    single = _expect(teller.ask("service A", "POST", "/v1/references", wanted), 201)["reference"]
    redeem = "/v1/references/redeem"
    redeemed = _expect(teller.ask("service B", "POST", redeem, {"reference": single}), 200)
    direct = urllib3.request(
        "GET",
        f"{redeemed['base_url']}/api/v3/io/companies?limit=1",
        headers=redeemed["headers"],
    )
    _check(direct.status == 200, "the headers work at the upstream")  # noqa: PLR2004 — OK
    say("      The headers work at the upstream itself.")
    _expect(teller.ask("service B", "POST", redeem, {"reference": single}), 410)

    step("A minted it, but it is B's: A's own try to use it is refused.")
    _expect(teller.ask("service A", "GET", _COMPANIES, reference=reference), 410)

    step("The operator revokes the reference, and it stops working at once.")
    revoke = {"reference": reference}
    _expect(teller.ask("operator", "POST", "/v1/references/revoke", revoke), 200)
    _expect(teller.ask("service B", "GET", _COMPANIES, reference=reference), 410)

    step("Nothing that was written down holds the password, the token or a usable reference.")
    _search(stack, teller, redeemed["headers"])
    return steps


def written_by(stack: Stack) -> dict[str, bytes]:
    """Return everything that the broker and Redis wrote, by name; Redis writes a fresh dump first."""
    with redis.Redis(port=stack.redis_port) as client:
        client.config_set("rdbcompression", "no")  # so that a search finds what is there
        client.save()
    found = {
        "the Redis dump": [stack.folder / "dump.rdb"],
        "Redis's append-only file": sorted((stack.folder / "appendonlydir").iterdir()),
        "the broker's logs": [stack.broker.stdout, stack.broker.stderr],
        "the audit file": [stack.audit_file],
    }
    return {name: b"\n".join(map(Path.read_bytes, paths)) for name, paths in found.items()}


def spellings(secret: str) -> Iterable[bytes]:
    """Yield the forms in which a secret could have been written."""
    raw = secret.encode()
    yield raw
    yield base64.b64encode(raw).rstrip(b"=")
    yield base64.urlsafe_b64encode(raw).rstrip(b"=")
    yield raw.hex().encode()
    yield json.dumps(secret)[1:-1].encode()


def _search(stack: Stack, teller: Teller, token: dict[str, str]) -> None:
    secrets = {*teller.secrets, *token.values()}
    for name, content in written_by(stack).items():
        if name != "the broker's logs":
            # A search that could not find what is certainly there would prove nothing.
            _check(STORE.encode() in content, f"{name} is being searched")
        for secret in secrets:
            for spelling in spellings(secret):
                _check(spelling not in content, f"{name} holds no secret")
        teller.say(f"    searched {name}: {len(content):,} bytes, nothing found")


def _expect(answer: Answer, status: int) -> Any:
    _check(answer.status == status, f"status {status}, got {answer.status}")
    return answer.body


def _expect_live(stack: Stack, say: Callable[[str], None], count: int) -> None:
    answer = urllib3.request("GET", f"{stack.upstream_url}/_sandbox/ledger?store_hash={STORE}")
    live = [row for row in answer.json()["tokens"] if row["deleted_at"] is None]
    _check(len(live) == count, f"{count} live token upstream, got {len(live)}")
    say(f"      The upstream's ledger shows {count} token: {live[0]['name']}")


def _check(condition: bool, claim: str) -> None:  # noqa: FBT001 — reads as an assertion
    if not condition:
        raise StoryError(f"this step did not do what it says: {claim}")


def _json(content: bytes) -> Any:
    return json.loads(content) if content else None


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
