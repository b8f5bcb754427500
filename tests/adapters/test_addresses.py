"""Which addresses count as public."""

import pytest

from service.adapters.addresses import is_public


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "34.111.202.1", "2606:4700::6810:1", "2001:4860:4860::8888"),
        *("64:ff9b::808:808", "::ffff:8.8.8.8"),
    ],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    """Also when an IPv6-only network reaches it through NAT64."""
    assert is_public(address)


@pytest.mark.parametrize(
    "inner", ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1"]
)
@pytest.mark.parametrize("form", ["{}", "::ffff:{}", "::{}", "64:ff9b::{}", "64:ff9b:1::{}"])
def test_an_address_inside_is_not_however_it_is_carried(form: str, inner: str) -> None:
    """The metadata service of a cloud is behind a translator too."""
    assert not is_public(form.format(inner))


@pytest.mark.parametrize(
    "address",
    [
        *(
            "0.0.0.0",  # noqa: S104 — nothing binds to it
            "255.255.255.255",
            "224.0.0.1",
            "::",
            "::1",
            "ff02::1",
            "fe80::1",
            "fe80::1%2",
        ),
        *(
            "fc00::1",
            "fec0::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "64:ff9b:1::8.8.8.8",
        ),
    ],
)
def test_what_is_no_host_of_the_internet_is_not(address: str) -> None:
    """Multicast, local, documentation, and tunnels to what is inside."""
    assert not is_public(address)
