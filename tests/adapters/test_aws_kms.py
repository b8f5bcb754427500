"""Keys that AWS KMS wraps: what is sent, signed by whom, and what is told when it does not work."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.demo.processes import free_port
from service.adapters.aws_kms import AwsKms, AwsKmsOptions
from service.core.keyring import KeyringError
from tests.support.key_services import Kms, serving

MATERIAL = b"canary-key-material-of-32-bytes!"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment as a broker might find it: with credentials that are none of its own, and no instance to ask."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the environment")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")


@pytest.fixture
def kms() -> Iterator[Kms]:
    """AWS KMS."""
    service = Kms()
    with serving(service):
        yield service


@pytest.fixture
def options(kms: Kms, tmp_path: Path) -> AwsKmsOptions:
    """How it is reached."""
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[default]\naws_access_key_id = {kms.access_key_id}\n"
        f"aws_secret_access_key = {kms.secret_access_key}\n",
        "ascii",
    )
    return AwsKmsOptions(
        key=kms.key,
        region=kms.region,
        url=kms.url,
        credentials_file=str(credentials),
        instance="test",
    )


def _problem(options: AwsKmsOptions, wrapped: str = "AAAA") -> str:
    with pytest.raises(KeyringError) as caught:
        AwsKms(options).unwrap("k1", wrapped)
    return str(caught.value)


def test_a_key_comes_back_as_it_was(options: AwsKmsOptions, kms: Kms) -> None:
    """Each request is signed by the credentials of the file, and says whose key it is about."""
    wrapped = AwsKms(options).wrap("k1", MATERIAL)

    assert AwsKms(options).unwrap("k1", wrapped) == MATERIAL
    context = {"b2b-broker:instance": "test", "b2b-broker:key_id": "k1"}
    assert kms.contexts == [context, context]
    assert [headers["X-Amz-Target"] for headers in kms.headers] == [
        "TrentService.Encrypt",
        "TrentService.Decrypt",
    ]


def test_a_wrapped_key_is_good_under_its_own_name_only(options: AwsKmsOptions) -> None:
    """Renaming the file, or mounting it elsewhere, gives nothing."""
    wrapped = AwsKms(options).wrap("k1", MATERIAL)

    for other, key_id in ((options, "k2"), (replace(options, instance="other"), "k1")):
        with pytest.raises(KeyringError, match=r"refused to decrypt it \(InvalidCiphertext"):
            AwsKms(other).unwrap(key_id, wrapped)


def test_credentials_of_the_environment_are_not_used(options: AwsKmsOptions, kms: Kms) -> None:
    """A secret there would be one in the environment of the broker."""
    problem = _problem(replace(options, credentials_file="/nowhere"))

    assert problem == "AWS KMS cannot be asked (NoCredentialsError)"
    assert kms.paths == []


def test_what_kms_says_is_never_told(options: AwsKmsOptions, kms: Kms) -> None:
    """Only its code is, if it looks like one."""
    refused = _problem(replace(options, key="alias/other"))
    kms.says = b'{"Plaintext_": "canary"}'
    strange = _problem(options)
    kms.refuses = 403
    unreadable = _problem(options)

    assert refused == "AWS KMS refused to decrypt it (NotFoundException)"
    assert strange == "AWS KMS answered something that is no key"
    assert unreadable == "AWS KMS refused to decrypt it (no code)"


def test_a_service_that_is_away_is_told(options: AwsKmsOptions) -> None:
    """With the kind of the failure only."""
    problem = _problem(replace(options, url=f"http://127.0.0.1:{free_port()}"))

    assert problem == "AWS KMS cannot be asked (EndpointConnectionError)"


def test_what_is_not_set_or_installed_is_named(
    options: AwsKmsOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that an operator knows what to do."""
    assert _problem(replace(options, key="")) == "BROKER_AWS_KMS_KEY is not set"
    assert _problem(options, "not base64!") == "it is not base64"
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    assert _problem(options) == "the extra 'aws' is not installed"
