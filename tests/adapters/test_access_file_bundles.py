"""The files that a trust domain's entry names are watched, and replaced while running."""

from pathlib import Path

import pytest

from service.adapters.access_file import read_access_file
from service.adapters.access_source import AccessFile
from service.adapters.issuer_links import IssuerLinks
from service.core.errors import UnauthenticatedError
from service.core.secret import Secret
from tests.adapters.meshed_files import (
    BY_CERTIFICATE,
    BY_TOKEN,
    LEAF,
    NEXT,
    NOW,
    Files,
    same_time,
)
from tests.adapters.svid_tokens import OTHER_KEY, bundle, signing, svid
from tests.support.svids import IDENTITY, Shape, make


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The files, with one authority."""
    return Files(tmp_path)


def test_every_file_that_an_entry_names_is_watched(files: Files) -> None:
    """Bundles of certificates and of tokens."""
    snapshot = read_access_file(files.write(files.issuers(BY_CERTIFICATE, BY_TOKEN)), same_time)

    names = [str(files.named(name)) for name in ("bundle.json", "bundle.pem")]
    assert snapshot.files == (str(files.path), *names)


def test_a_changed_bundle_is_a_new_version(files: Files) -> None:
    """New authorities count, old ones no more, also for a certificate that was seen; a broken bundle changes nothing."""
    told: list[bool] = []
    path = files.write(files.issuers(BY_CERTIFICATE, BY_TOKEN))
    source = AccessFile(path, same_time, IssuerLinks(), told.append)
    new = make(Shape(), NEXT, NOW)
    assert source().by_certificate([LEAF.der]).identity == IDENTITY

    files.write_bundle(NEXT)
    source.reload()
    files.named("bundle.pem").write_bytes(b"half written")
    source.reload()

    assert told == [True, False]
    assert source.problem
    assert source().by_certificate([new.der]).identity == IDENTITY
    with pytest.raises(UnauthenticatedError):
        source().by_certificate([LEAF.der])


def test_a_changed_bundle_of_tokens_is_a_new_version(files: Files) -> None:
    """Tokens of the old key end at once, also those that were seen."""
    source = AccessFile(
        files.write(files.issuers(BY_TOKEN)), same_time, IssuerLinks(), lambda _taken: None
    )
    old, new = Secret(svid()), Secret(svid({"kid": "new"}, OTHER_KEY))
    assert source().by_token(old).identity == IDENTITY

    files.named("bundle.json").write_bytes(bundle(signing("new", OTHER_KEY)))
    source.reload()

    assert source().by_token(new).identity == IDENTITY
    with pytest.raises(UnauthenticatedError):
        source().by_token(old)
