"""Where a secret's value is taken out of its type: a short list, which grows only on purpose."""

import ast
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[2] / "service"
PLACES = {
    "adapters/api_keys.py",  # looked up by digest
    "adapters/stores_dir.py",  # its form is checked
    "adapters/token_review.py",  # shown to the cluster that issued it
    "adapters/upstream.py",  # sent to the upstream
    "adapters/workload_tokens.py",  # verified
    "core/credential.py",  # fingerprinted or sealed
    "core/guard.py",  # looked for in answers
    "core/headers.py",  # sent to the upstream
    "core/records.py",  # sealed
    "core/reference.py",  # turned into an accessor
    "core/provision.py",  # compared with the one that is held
    "core/upstream_answers.py",  # its own end is read
    "web/models.py",  # its form is checked
    "web/store_models.py",  # its form is checked
    "web/references.py",  # released to its holder
    "web/stores.py",  # handed on in our own type
}
TAKING_OUT = {"reveal", "get_secret_value"}


def takes_out(source: str) -> bool:
    """Tell whether some code calls what takes a value out of a secret."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in TAKING_OUT
        for node in ast.walk(ast.parse(source))
    )


def test_secrets_are_revealed_in_these_places_only() -> None:
    """A new place is a decision, made here with its reason; one that is gone leaves the list."""
    found = {
        str(path.relative_to(SERVICE))
        for path in SERVICE.rglob("*.py")
        if takes_out(path.read_text("utf-8"))
    }

    assert found == PLACES


@pytest.mark.parametrize("call", ["token.reveal()", "f(body.password.get_secret_value())"])
def test_the_search_finds_a_call(call: str) -> None:
    """The list would not be right by not looking."""
    assert takes_out(call)
