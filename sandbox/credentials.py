"""Whose request it is: the two header styles, and what those get who mix them (§2.1, §2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox import answers
from sandbox.tokens import looks_like_jwt, unverified_claims

if TYPE_CHECKING:
    from sandbox.answers import Answer
    from sandbox.behaviours import Behaviours
    from sandbox.requests import Request
    from sandbox.state import SandboxState

AUTH_TOKEN = "auth_token"
X_AUTH_TOKEN = "x_auth_token"
NO_CREDENTIALS = "Invalid token header. No credentials provided."
CREDENTIAL_HEADERS = ("authtoken", "x-auth-token", "x-store-hash")


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request shows, judged.

    Attributes:
        store_hash: The store it names, proven only if there is no problem.
        problem: Empty when it is good; else missing, invalid, no_scope, mismatch or misuse.
    """

    store_hash: str | None = None
    style: str | None = None
    problem: str = ""
    token: str = ""


def read_credential(state: SandboxState, request: Request) -> Credential:
    """Judge the credential headers of a request."""
    token = request.value("authtoken")
    access_token = request.value("x-auth-token")
    store_hash = request.value("x-store-hash")
    if any(len(request.values(name)) > 1 for name in CREDENTIAL_HEADERS):
        return Credential(_store_of(state, token) or store_hash or None, None, "misuse", token)
    if token:
        # §2.1: the styles exclude each other; the token alone names the store.
        problem = "misuse" if access_token or store_hash else ""
        if not problem and not state.live_row(token):
            problem = "invalid"
        return Credential(_store_of(state, token), AUTH_TOKEN, problem, token)
    if access_token:
        return _unified(state, access_token, store_hash)
    return Credential(store_hash or None, None, "missing")


def _store_of(state: SandboxState, token: str) -> str | None:
    row = state.ledger.find(token)
    claim = row.store_hash if row else unverified_claims(token).get("store_hash")
    return claim if isinstance(claim, str) else None


def _unified(state: SandboxState, access_token: str, store_hash: str) -> Credential:
    owner = state.access_tokens.get(access_token)
    problem = ""
    if looks_like_jwt(access_token):
        problem = "no_scope"
    elif not store_hash or (owner and owner != store_hash):
        problem = "mismatch"
    elif not owner:
        problem = "invalid"
    return Credential(store_hash or owner, X_AUTH_TOKEN, problem, access_token)


def refusal(credential: Credential, behaviours: Behaviours) -> Answer:
    """Answer to a credential with a problem."""
    message = "Invalid access token" if credential.style == X_AUTH_TOKEN else "Invalid token"
    if credential.problem == "missing":
        return answers.error(401, NO_CREDENTIALS, NO_CREDENTIALS)
    if credential.problem == "no_scope":
        return answers.error(403, message, message)
    if credential.problem == "mismatch":
        return _server_error(behaviours.hash_mismatch_answer, "Invalid access token")
    if credential.problem == "misuse":
        return _server_error(behaviours.mixed_styles_answer, "Invalid token")
    return _invalid(behaviours.invalid_token_answer, message)


def _server_error(status: int, message: str) -> Answer:
    if status == 500:  # noqa: PLR2004 — the documented words are "server errors"
        return answers.bare_error(500, "Internal Server Error")
    return answers.error(status, message, message)


def _invalid(form: str, message: str) -> Answer:
    status, _, shape = form.partition("_")
    if shape == "F":
        return answers.routing_error(int(status), message)
    if shape == "G":
        return answers.detail_error(int(status), f"{message}.")
    if status == "200":
        # §2.3: the storefront API reports an expired session in a 200; assume the worst here too.
        body = {"code": 401, "data": {"errMsg": message}, "meta": {"message": message}}
        return answers.json_answer(200, body)
    return answers.error(int(status), message, message)
