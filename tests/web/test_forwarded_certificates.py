"""Who is calling by the word of a proxy that has verified a certificate: whose word counts, and which part of it."""

import ssl
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.errors import UnauthenticatedError
from service.web.callers import _last_element
from tests.support.access import MESHED, PROXY
from tests.support.tls import Handshakes, workload
from tests.support.world import World
from tests.web.calling import Api
from tests.web.meshing import EVIL, FORWARDED, OTHER, ROOT, Meshed, reason_of, whoami

SECOND = "spiffe://prod.example/ns/edge/sa/second"
STRANGER = "spiffe://other.example/ns/edge/sa/envoy"
BY, URI, HASH = f"By={PROXY}", f"URI={MESHED}", f"Hash={'0' * 64}"
SUBJECT = 'Subject="CN=order-sync,O=Example"'
CLAIMED = f"{BY};{HASH};URI={EVIL}"


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, ssl.SSLSocket]]:
    """Connections of the trusted proxy, of another one, and of one of another trust domain."""
    handshakes = Handshakes(tmp_path_factory.mktemp("tls"), ROOT, OTHER)
    with (
        handshakes.peer(workload(PROXY, ROOT)) as proxy,
        handshakes.peer(workload(SECOND, ROOT)) as second,
        handshakes.peer(workload(STRANGER, OTHER)) as stranger,
    ):
        yield {PROXY: proxy, SECOND: second, STRANGER: stranger}


@pytest.fixture
def api(world: World) -> Api:
    """The API, which trusts one proxy."""
    api = Api(world)
    api.access = Meshed(world.clock)
    return api


# what → the header
ACCEPTED = {
    "as Envoy writes it": f"{BY};{HASH};{SUBJECT};{URI};DNS=order-sync.commerce.svc",
    "with the whole certificate": f'{BY};Cert="-----BEGIN%20CERTIFICATE-----%0A";Chain="x";{URI}',
    "the URI alone": URI,
    "the URI in quotes": f'{BY};URI="{MESHED}"',
    "an empty subject": f'{BY};Subject="";{URI}',
    "an empty name of the proxy": f"By=;{HASH};{URI}",
    "names in any case": f"BY={PROXY};hash={'0' * 64};uri={MESHED}",
    "in another order": f"{URI};{SUBJECT};{HASH};{BY}",
    "behind what the client claimed": f"{CLAIMED},{BY};{HASH};{URI}",
    "behind what the client claimed, and a blank": f"{CLAIMED}, {BY};{HASH};{URI}",
    "behind the word of another proxy": f"By={SECOND};URI={EVIL},{BY};{URI}",
    "behind many": f"{','.join([CLAIMED] * 50)},{BY};{URI}",
    "a subject with a URI in it": f'{BY};Subject="CN=x;URI={EVIL}";{URI}',
    "a subject with an element in it": f'{BY};Subject="CN=x,{BY};URI={EVIL}";{URI}',
    "a subject with another proxy in it": f'{BY};Subject="By={SECOND}";{URI}',
    "a subject with a quote": f'{BY};Subject="CN=\\";URI={EVIL};x=\\"";{URI}',
    "a subject with a backslash": f'{BY};Subject="CN=x\\\\";{URI}',
    "a subject with a backslash and a quote": f'{BY};Subject="CN=x\\\\\\",URI={EVIL},\\"";{URI}',
    "a subject that is not ASCII": f'{BY};Subject="CN=\xc3\xb6";{URI}',
    "a subject with an equals sign": f'{BY};Subject="a=b=c";{URI}',
    "what nobody knows yet": f'{BY};{URI};New="x,y;z"',
    "a DNS name that looks like a URI": f"{BY};{URI};DNS=uri",
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_a_trusted_proxy_tells_who_is_calling(
    api: Api, peers: Mapping[str, ssl.SSLSocket], what: str
) -> None:
    """Its last element is its own word; what stands in quotes, or before, is the client's."""
    answer = whoami(api, peers[PROXY], {FORWARDED: ACCEPTED[what]}).get_json()

    assert (answer["identity"], answer["proof"]) == (MESHED, "forwarded_certificate")
    assert (answer["issuer"], answer["expires_at"]) == ("mesh", None)


# what → the header and the reason
REFUSED: dict[str, tuple[str, str]] = {
    "empty": ("", "forwarded_unclear"),
    "a blank": (" ", "forwarded_unclear"),
    "no URI": (f"{BY};{HASH};{SUBJECT}", "forwarded_unclear"),
    "no URI in the last": (f"{BY};{URI},{BY};{HASH}", "forwarded_unclear"),
    "two URIs": (f"{BY};{URI};URI={EVIL}", "forwarded_unclear"),
    "the same URI twice": (f"{BY};{URI};{URI}", "forwarded_unclear"),
    "two URIs in two cases": (f"{BY};{URI};uri={EVIL}", "forwarded_unclear"),
    "a URI in the subject only": (f'{BY};Subject="x;{URI}"', "forwarded_unclear"),
    "a URI behind a quote in the subject": (f'{BY};Subject="x\\";{URI};\\""', "forwarded_unclear"),
    "a comma behind": (f"{BY};{URI},", "forwarded_unclear"),
    "a comma and a blank behind": (f"{BY};{URI}, ", "forwarded_unclear"),
    "two commas": (f"{CLAIMED},,{BY};{URI}", "forwarded_unclear"),
    "a comma before": (f",{BY};{URI}", "forwarded_unclear"),
    "a semicolon behind": (f"{BY};{URI};", "forwarded_unclear"),
    "two semicolons": (f"{BY};;{URI}", "forwarded_unclear"),
    "a blank behind a semicolon": (f"{BY}; {URI}", "forwarded_unclear"),
    "a blank before the equals sign": (f"{BY};URI ={MESHED}", "forwarded_unclear"),
    "no equals sign": (f"{BY};{MESHED}", "forwarded_unclear"),
    "no name": (f"{BY};={MESHED}", "forwarded_unclear"),
    "a quote that is not closed": (f'{BY};{URI};Subject="x', "forwarded_unclear"),
    "a quote that is escaped away": (f'{BY};{URI};Subject="x\\"', "forwarded_unclear"),
    "more behind a quote": (f'{BY};Subject="x"y;{URI}', "forwarded_unclear"),
    "a quote within": (f'{BY};{URI};DNS=x"y', "forwarded_unclear"),
    "an equals sign within": (f"{BY};{URI}=x", "forwarded_unclear"),
    "garbage before": (f'x"y,{BY};{URI}', "forwarded_unclear"),
    "another list": (f"[{URI}]", "forwarded_unclear"),
    "JSON": (f'{{"URI": "{MESHED}"}}', "forwarded_unclear"),
    "by another proxy": (f"By={SECOND};{URI}", "forwarded_by_another"),
    "by another proxy, after ours": (f"{BY};{URI},By={SECOND};{URI}", "forwarded_by_another"),
    "by two": (f"{BY};By={SECOND};{URI}", "forwarded_by_another"),
    "by two, the other way round": (f"By={SECOND};{BY};{URI}", "forwarded_by_another"),
    "by whoever it is": (f"By=*;{URI}", "forwarded_by_another"),
    "by almost this one": (f"{BY}x;{URI}", "forwarded_by_another"),
    "an unknown trust domain": (
        f"{BY};URI=spiffe://unknown.example/x",
        "certificate_trust_domain_unknown",
    ),
    "a trust domain alone": (
        f"{BY};URI=spiffe://prod.example",
        "certificate_trust_domain_unknown",
    ),
    "a path that climbs": (
        f"{BY};URI=spiffe://prod.example/a/../b",
        "certificate_trust_domain_unknown",
    ),
    "a blank behind the URI": (f"{BY};{URI} ;{HASH}", "certificate_trust_domain_unknown"),
    "an empty URI": (f"{BY};URI=", "certificate_trust_domain_unknown"),
    "an identity of a company": (f"{BY};URI=corp:ops-anna", "certificate_trust_domain_unknown"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_word_that_is_not_clear_proves_nothing(
    api: Api, peers: Mapping[str, ssl.SSLSocket], what: str
) -> None:
    """Nothing is repaired: what two readers could understand differently is refused."""
    header, expected = REFUSED[what]

    answer = whoami(api, peers[PROXY], {FORWARDED: header})

    assert reason_of(api, answer) == expected


def test_a_trusted_proxy_is_never_the_caller_itself(
    api: Api, peers: Mapping[str, ssl.SSLSocket]
) -> None:
    """Without the header it has verified nobody, and would be the caller for everybody who shows it no certificate."""
    answer = whoami(api, peers[PROXY])

    assert reason_of(api, answer) == "forwarded_unclear"


@pytest.mark.parametrize("peer", [SECOND, STRANGER])
@pytest.mark.parametrize("header", [CLAIMED, f"By={SECOND};{URI}", f"{BY};{URI}", "", ",,;"])
def test_what_a_proxy_that_is_not_trusted_says_is_not_even_read(
    api: Api, peers: Mapping[str, ssl.SSLSocket], peer: str, header: str
) -> None:
    """It is a caller like any other, whatever it claims, and whichever trust domain it is the proxy of."""
    answer = whoami(api, peers[peer], {FORWARDED: header}).get_json()

    assert (answer["identity"], answer["proof"]) == (peer, "client_certificate")


def test_without_a_certificate_the_header_says_nothing(api: Api) -> None:
    """Over plain HTTP anybody could write it."""
    answer = api.ask("GET", "/v1/whoami", None, {FORWARDED: f"{BY};{URI}"})

    assert reason_of(api, answer) == "no_proof"


def test_a_workload_of_another_known_trust_domain_is_vouched_for_as_what_it_is(
    api: Api, peers: Mapping[str, ssl.SSLSocket]
) -> None:
    """A proxy may serve more than one; the issuer is that of the workload."""
    header = f"{BY};URI=spiffe://other.example/x"

    answer = whoami(api, peers[PROXY], {FORWARDED: header}).get_json()

    assert (answer["identity"], answer["issuer"]) == ("spiffe://other.example/x", "other")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=60))
def test_no_subject_can_say_more_than_a_subject(subject: str) -> None:
    """Whatever a client has written into its certificate, escaped as Envoy does, the pairs are those of the proxy."""
    pairs = _last_element(f'{BY};Subject="{_escaped(subject)}";{URI}')

    assert pairs == [("by", PROXY), ("subject", subject), ("uri", MESHED)]


SIGNS = st.text(alphabet='",;=\\ UuRrIiBbYyx', max_size=40)


@given(st.text(alphabet=st.characters(codec="latin-1"), max_size=80) | SIGNS, SIGNS)
def test_what_the_client_claims_never_reaches_into_the_proxys_word(
    claimed: str, subject: str
) -> None:
    """Not even where it opens a quote that its own subject closes: the header is refused, or the last element is the proxy's."""
    word = f'{BY};Subject="{_escaped(subject)}";{URI}'
    try:
        pairs = _last_element(f"{claimed},{word}")
    except UnauthenticatedError:
        return

    assert pairs == [("by", PROXY), ("subject", subject), ("uri", MESHED)]
