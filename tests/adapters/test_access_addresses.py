"""Addresses and file names in an access file that are none: refused where they stand, and told."""

import json
from pathlib import Path

import pytest

from service.adapters.access_schema import AccessFileError, parse_document
from service.adapters.access_source import AccessFile
from service.adapters.issuer_links import IssuerLinks
from tests.support.clock import ManualClock


def _text(**jwks: str) -> str:
    issuer = {"name": "corp", "type": "oidc", "issuer": "https://x", "audience": "a", "jwks": jwks}
    return json.dumps({"version": 1, "issuers": [issuer], "grants": []})


@pytest.mark.parametrize(
    "url",
    [
        "https://[",
        "https://]",
        "https://[x]",
        "https://h:99999",
        "https://h:x",
        "https://h:0",
        "https://:1",
    ],
)
def test_an_address_that_is_none_is_refused_and_told(tmp_path: Path, url: str) -> None:
    """As any other fault: the old version stays in force, and the problem shows."""
    path, told = tmp_path / "access.yaml", list[bool]()
    path.write_text(_text(url="https://h"), "utf-8")
    source = AccessFile(str(path), ManualClock(), IssuerLinks(), told.append)
    path.write_text(_text(url=url), "utf-8")

    source.reload()

    assert "issuers.0.oidc.jwks.url" in source.problem
    assert told == [False]


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb"])
def test_a_file_name_that_is_none_is_refused_where_it_stands(name: str) -> None:
    """Before anybody tries to open it."""
    with pytest.raises(AccessFileError, match=r"jwks\.file"):
        parse_document(_text(file=name).encode())


@pytest.mark.parametrize("url", ["https://h", "https://h:8443/keys?x=1", "https://[::1]:6443/k"])
def test_an_address_is_taken_as_it_is(url: str) -> None:
    """With or without a port, by name or by number."""
    assert parse_document(_text(url=url).encode()).issuers
