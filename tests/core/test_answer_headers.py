"""Headers of an answer: those that cannot be written on, contradict each other, or lead away from the broker."""

import pytest

from service.core.errors import UpstreamAnswerError
from service.core.headers import incoming

TYPE = ("Content-Type", "application/json")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(("", "1"), id="no name"),
        pytest.param(("X Space", "1"), id="space in a name"),
        pytest.param(("X-Colon:", "1"), id="colon in a name"),
        pytest.param(("X-Ünicode", "1"), id="letter in a name"),
        pytest.param(("X-Any\r\n", "1"), id="line end in a name"),
        pytest.param(("X-Any", "1\r\nX-Evil: 1"), id="CR LF"),
        pytest.param(("X-Any", "1\n"), id="line feed at the end"),
        pytest.param(("X-Any", "1\r 2"), id="CR"),
        pytest.param(("X-Any", "1\x00"), id="NUL"),
        pytest.param(("X-Any", "1\x7f"), id="DEL"),
        pytest.param(("X-Any", "Ω"), id="not Latin-1"),
        pytest.param(("Content-Length", ""), id="empty length"),
        pytest.param(("Content-Length", "+1"), id="signed length"),
        pytest.param(("Content-Length", "-1"), id="negative length"),
        pytest.param(("content-length", "0x10"), id="hexadecimal length"),
        pytest.param(("Content-Length", "1, 1"), id="two lengths"),
        pytest.param(("Content-Length", "٣"), id="digits of another script"),
        pytest.param(("Content-Length", "1" * 19), id="endless length"),
    ],
)
def test_a_header_that_cannot_be_written_on_makes_the_answer_unusable(
    header: tuple[str, str],
) -> None:
    """Passing on the rest would be an answer that the upstream did not give."""
    with pytest.raises(UpstreamAnswerError) as refused:
        incoming([TYPE, header])

    assert refused.value.reason == "upstream_header_unusable"


@pytest.mark.parametrize(
    "header",
    [
        ("Content-Length", "0"),
        ("Content-Length", "9" * 18),
        ("X-Any", ""),
        ("X-Any", "a\tb ~"),
        ("X-Any", "Zo\xeb \xa0"),
        ("!#$%&'*+-.^_`|~09", "1"),
    ],
)
def test_a_header_that_can_be_written_on_passes_unchanged(header: tuple[str, str]) -> None:
    """Also an unusual one."""
    assert incoming([header, TYPE]) == [header, TYPE]


def test_an_unusable_header_that_is_dropped_anyway_does_no_harm() -> None:
    """Only what the caller would get has to be writable."""
    assert incoming([("Set-Cookie", "\x00"), TYPE]) == [TYPE]


@pytest.mark.parametrize("coding", ["Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING"])
def test_a_length_beside_a_transfer_coding_does_not_count(coding: str) -> None:
    """RFC 9112 §6.3: two readers could end the answer at different places."""
    assert incoming([("Content-Length", "5"), (coding, "chunked"), TYPE]) == [TYPE]


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/",
        "http://api-b2b.bigcommerce.com/",
        "//evil.example/x",
        "/\\evil.example/x",
        "\\\\evil.example",
        "javascript:x",
        "relative/path",
        " /padded",
        "",
    ],
)
@pytest.mark.parametrize("name", ["Location", "location"])
def test_a_redirect_that_names_a_host_is_dropped(name: str, location: str) -> None:
    """A client that follows it would take its reference there."""
    assert incoming([(name, location), TYPE]) == [TYPE]


@pytest.mark.parametrize("location", ["/", "/api/v3/io/companies/1", "/x?next=//evil.example"])
def test_a_redirect_within_the_same_host_passes(location: str) -> None:
    """It leads back to the broker."""
    assert incoming([("Location", location)]) == [("Location", location)]
