"""SPIFFE ids: what is one of a workload, and what only looks like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.spiffe import trust_domain_of

GOOD = {
    "spiffe://prod.example/x": "prod.example",
    "spiffe://prod.example/ns/commerce/sa/order-sync": "prod.example",
    "spiffe://prod.example/a.b/c_d/E-F/0": "prod.example",
    "spiffe://prod.example/...": "prod.example",
    "spiffe://prod.example/.hidden": "prod.example",
    "spiffe://prod.example/..x/x..": "prod.example",
    "spiffe://under_score-1.example/x": "under_score-1.example",
    "spiffe://cluster.local/ns/default/sa/default": "cluster.local",
    "spiffe://1f2a3b4c-0000-4000-8000-000000000000.consul/ns/default/dc/dc1/svc/web": "1f2a3b4c-0000-4000-8000-000000000000.consul",
    "spiffe://" + "d" * 255 + "/x": "d" * 255,
    "spiffe://prod.example/" + "p" * 278: "prod.example",
}
BAD = [
    "",
    "prod.example/x",
    "spiffe:",
    "spiffe:/prod.example/x",
    "spiffe:prod.example/x",
    "spiffe://",
    "spiffe:///x",
    # no workload: a trust domain by itself, or a path that is not one
    "spiffe://prod.example",
    "spiffe://prod.example/",
    "spiffe://prod.example//",
    "spiffe://prod.example//x",
    "spiffe://prod.example/x/",
    "spiffe://prod.example/x//y",
    "spiffe://prod.example/.",
    "spiffe://prod.example/..",
    "spiffe://prod.example/x/.",
    "spiffe://prod.example/x/..",
    "spiffe://prod.example/./x",
    "spiffe://prod.example/../other.example/x",
    "spiffe://prod.example/x/../y",
    # another scheme
    "SPIFFE://prod.example/x",
    "Spiffe://prod.example/x",
    "https://prod.example/x",
    "spiffes://prod.example/x",
    "spiffe+x://prod.example/x",
    "xspiffe://prod.example/x",
    " spiffe://prod.example/x",
    "\nspiffe://prod.example/x",
    # an authority that is more than a trust domain
    "spiffe://Prod.example/x",
    "spiffe://PROD.EXAMPLE/x",
    "spiffe://prod.example:443/x",
    "spiffe://prod.example:/x",
    "spiffe://user@prod.example/x",
    "spiffe://user:secret@prod.example/x",
    "spiffe://@prod.example/x",
    "spiffe://[::1]/x",
    "spiffe://prod.example\\@other.example/x",
    "spiffe://prod%2eexample/x",
    "spiffe://prod.example%00/x",
    "spiffe://prod~example/x",
    "spiffe://pr\u043ed.example/x",
    "spiffe://prod\uff0eexample/x",
    "spiffe://prod\u3002example/x",
    "spiffe://\u0660.example/x",
    "spiffe://prod.example /x",
    "spiffe://prod.example\n/x",
    "spiffe://*.example/x",
    "spiffe://*/x",
    "spiffe://" + "d" * 256 + "/x",
    # a query, a fragment, or what a path cannot hold
    "spiffe://prod.example?x",
    "spiffe://prod.example?/x",
    "spiffe://prod.example#/x",
    "spiffe://prod.example/x?",
    "spiffe://prod.example/x?y=z",
    "spiffe://prod.example/x#",
    "spiffe://prod.example/x#y",
    "spiffe://prod.example/%2e%2e/x",
    "spiffe://prod.example/x%2fy",
    "spiffe://prod.example/%78",
    "spiffe://prod.example/x\\y",
    "spiffe://prod.example/x y",
    "spiffe://prod.example/x ",
    "spiffe://prod.example/x\n",
    "spiffe://prod.example/x\n/y",
    "spiffe://prod.example/..\n",
    "spiffe://prod.example/x\0",
    "spiffe://prod.example/x\x7f",
    "spiffe://prod.example/x\u200b",
    "spiffe://prod.example/x\xe9",
    "spiffe://prod.example/\u0660",
    "spiffe://prod.example/\uff0e\uff0e",
    "spiffe://prod.example/*",
    "spiffe://prod.example/x;y",
    "spiffe://prod.example/x,y",
    "spiffe://prod.example/x:y",
    "spiffe://prod.example/x@y",
    "spiffe://prod.example/x=y",
    "spiffe://prod.example/x|y",
    "spiffe://prod.example/x+y",
    'spiffe://prod.example/x"',
    "spiffe://prod.example/x\ud800",
    "spiffe://prod.example/" + "p" * 279,
    "spiffe://prod.example/" + "p/" * 2_000,
]


@pytest.mark.parametrize("identity", GOOD)
def test_a_workloads_id_is_in_a_trust_domain(identity: str) -> None:
    """Letters, digits, dots, dashes and underscores; the path's letters may be of either case (SPIFFE-ID §2)."""
    assert trust_domain_of(identity) == GOOD[identity]


@pytest.mark.parametrize("identity", BAD, ids=lambda identity: ascii(identity)[:50])
def test_what_is_no_workloads_id_is_in_none(identity: str) -> None:
    """Nothing is repaired, decoded or put into lower case: one workload has one spelling."""
    assert trust_domain_of(identity) is None


@given(st.text(max_size=40))
def test_an_id_is_taken_apart_in_one_way_only(text: str) -> None:
    """Whatever is accepted is exactly scheme, trust domain and path, with no sign that another reader could split at."""
    identity = f"spiffe://{text}"

    domain = trust_domain_of(identity)

    if domain is not None:
        rest = identity.removeprefix(f"spiffe://{domain}/")
        assert rest != identity
        assert rest.isascii()
        assert set(rest.split("/")).isdisjoint({"", ".", ".."})
        assert not set(identity[len("spiffe://") :]) & set(' %?#@:;,=\\"\n\r\t\0*')
