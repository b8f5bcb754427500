"""Keys that Vault's Transit engine wraps: what is sent, what is believed, and what is told when it does not work."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.demo.processes import free_port
from service.adapters.vault_transit import VaultOptions, VaultTransit
from service.core.keyring import KeyringError
from tests.support.key_services import Vault, serving
from tests.support.pki import Authority

MATERIAL = b"canary-key-material-of-32-bytes!"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom Vault has its certificate from."""
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def vault(authority: Authority) -> Iterator[Vault]:
    """Vault, over TLS."""
    service = Vault()
    with serving(service, authority.server("127.0.0.1")):
        yield service


@pytest.fixture
def options(vault: Vault, authority: Authority, tmp_path: Path) -> VaultOptions:
    """How it is reached."""
    token = tmp_path / "token"
    token.write_text(f"{vault.token}\n", "ascii")
    return VaultOptions(
        url=vault.url,
        token_file=str(token),
        ca_file=str(authority.ca_file),
        namespace="",
        mount="transit",
        key="b2b-broker",
        instance="test",
    )


def _problem(options: VaultOptions, wrapped: str = "vault:v1:AAAA") -> str:
    with pytest.raises(KeyringError) as caught:
        VaultTransit(options).unwrap("k1", wrapped)
    return str(caught.value)


def test_a_key_comes_back_as_it_was(options: VaultOptions) -> None:
    """What is kept in the file is Vault's own notation."""
    wrapped = VaultTransit(options).wrap("k1", MATERIAL)

    assert wrapped.startswith("vault:v1:")
    assert "canary" not in wrapped
    assert VaultTransit(options).unwrap("k1", wrapped) == MATERIAL


def test_a_wrapped_key_is_good_under_its_own_name_only(options: VaultOptions) -> None:
    """Renaming the file, or mounting it elsewhere, gives nothing."""
    wrapped = VaultTransit(options).wrap("k1", MATERIAL)

    for other, key_id in ((options, "k2"), (replace(options, instance="other"), "k1")):
        with pytest.raises(KeyringError, match="refused to decrypt it"):
            VaultTransit(other).unwrap(key_id, wrapped)


def test_the_token_is_read_for_every_call(options: VaultOptions, vault: Vault) -> None:
    """Whoever renews it writes another one."""
    transit = VaultTransit(options)
    wrapped = transit.wrap("k1", MATERIAL)
    vault.token = "s.renewed"
    refused = _problem(options)
    Path(options.token_file).write_text("s.renewed", "ascii")

    assert transit.unwrap("k1", wrapped) == MATERIAL
    assert refused == "Vault refused to decrypt it (status 403)"


def test_a_namespace_is_named(options: VaultOptions, vault: Vault) -> None:
    """Only if there is one."""
    vault.namespace = "team/broker"

    assert VaultTransit(replace(options, namespace="team/broker")).wrap("k1", MATERIAL)
    assert _problem(options) == "Vault refused to decrypt it (status 404)"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(options: VaultOptions, vault: Vault, status: int) -> None:
    """A standby that points elsewhere would be given the token."""
    vault.refuses = status

    assert _problem(options) == f"Vault refused to decrypt it (status {status})"
    assert len(vault.paths) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
def test_what_vault_says_is_never_told(options: VaultOptions, vault: Vault, status: int) -> None:
    """It may quote what it was sent."""
    vault.refuses = status

    problem = _problem(options, "vault:v1:canary")

    assert problem == f"Vault refused to decrypt it (status {status})"


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data":null}',
        b'{"data":[]}',
        b'{"data":{"plaintext":1}}',
        b'{"data":{"plaintext":"!"}}',
        b"x" * 100_000,
    ],
)
def test_an_answer_that_is_no_key_is_refused(
    options: VaultOptions, vault: Vault, says: bytes
) -> None:
    """And nothing of it is told."""
    vault.says = says

    assert _problem(options) == "Vault answered something that is no key"


@pytest.mark.parametrize("says", [b'{"data":{}}', b'{"data":{"ciphertext":"two\\nlines"}}'])
def test_a_wrapped_key_is_one_line(options: VaultOptions, vault: Vault, says: bytes) -> None:
    """It goes into a file."""
    vault.says = says

    with pytest.raises(KeyringError, match="no key"):
        VaultTransit(options).wrap("k1", MATERIAL)


def test_another_vault_is_not_trusted(options: VaultOptions, tmp_path: Path, vault: Vault) -> None:
    """Whoever has no certificate of the authority is not sent the token."""
    other = Authority(tmp_path, "other")

    problem = _problem(replace(options, ca_file=str(other.ca_file)))

    assert problem == "Vault cannot be reached (SSLError)"
    assert vault.paths == []


def test_a_vault_that_is_away_is_told(options: VaultOptions) -> None:
    """With the kind of the failure only."""
    away = replace(options, url=f"https://127.0.0.1:{free_port()}")

    assert _problem(away).startswith("Vault cannot be reached (")


def test_what_is_not_set_is_named(options: VaultOptions, tmp_path: Path) -> None:
    """So that an operator knows which setting to look at."""
    empty = tmp_path / "empty"
    empty.write_text("\n", "ascii")

    assert _problem(replace(options, url="")) == "BROKER_VAULT_URL is not set"
    assert _problem(replace(options, token_file="")) == "BROKER_VAULT_TOKEN_FILE cannot be read"
    assert "does not hold a token" in _problem(replace(options, token_file=str(empty)))
