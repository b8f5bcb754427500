"""Laws of policy that hold for any access file."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.core.policy import AccessGrant, Limits, MintAsk, Policy, store_matches
from service.core.scope import is_covered

IDENTITIES = st.sampled_from(["corp:ops-anna", "corp:dev-bo", "k8s:commerce/sync", "key:ci"])
IDENTITY_PATTERNS = IDENTITIES | st.sampled_from(["corp:*", "corp:ops-*", "k8s:*/*", "*:*"])
STORES = st.sampled_from(["abc123", "abc456", "zzz999"])
STORE_PATTERNS = STORES | st.sampled_from(["*", "abc*", "*9"])
ACTIONS = st.sampled_from(["store.write", "store.read", "reference.mint", "reference.redeem"])
ACTION_PATTERNS = ACTIONS | st.sampled_from(["store.*", "reference.*", "*.read"])
SCOPES = st.sampled_from(["GET /a/**", "GET /a/b", "* /a/*", "POST /c"])
SPANS = st.integers(1, 900).map(lambda seconds: timedelta(seconds=seconds))
ACCESS = st.sampled_from(["proxy", "redeem"])


def some(strategy: "st.SearchStrategy[str]") -> "st.SearchStrategy[tuple[str, ...]]":
    """Draw one to three."""
    return st.lists(strategy, min_size=1, max_size=3).map(tuple)


LIMITS = st.builds(
    Limits,
    access=st.lists(ACCESS, min_size=1, max_size=2).map(tuple),
    audiences=st.just(()) | some(IDENTITY_PATTERNS),
    max_ttl=SPANS,
    max_uses=st.none() | st.integers(1, 5),
    requests=st.just(()) | some(SCOPES),
)
GRANTS = st.builds(
    AccessGrant,
    st.just("g"),
    some(IDENTITY_PATTERNS),
    some(STORE_PATTERNS),
    some(ACTION_PATTERNS),
    LIMITS,
)
POLICIES = st.lists(GRANTS, max_size=4)
ASKS = st.builds(
    MintAsk,
    access=ACCESS,
    audience=st.none() | IDENTITIES,
    ttl=st.none() | SPANS | st.just(timedelta(0)),
    max_uses=st.none() | st.integers(-1, 6),
    requests=st.none() | st.just(()) | some(SCOPES),
)


@given(
    grants=POLICIES,
    more=GRANTS,
    place=st.integers(0, 4),
    request=st.tuples(IDENTITIES, ACTIONS, STORES | st.just("*"), st.none() | ASKS),
)
def test_adding_a_grant_never_removes_a_permission(
    grants: list[AccessGrant],
    more: AccessGrant,
    place: int,
    request: tuple[str, str, str, MintAsk | None],
) -> None:
    """Wherever it is added: there are no grants that deny."""
    before = Policy(tuple(grants)).decide(*request)
    grants.insert(place, more)

    after = Policy(tuple(grants)).decide(*request)

    assert after.allowed or not before.allowed


@given(grant=GRANTS, identity=IDENTITIES, store=STORES, ask=ASKS)
def test_no_terms_ever_exceed_the_limits_or_the_ask(
    grant: AccessGrant, identity: str, store: str, ask: MintAsk
) -> None:
    """What is minted lies within what the grant allows and is what was asked for."""
    terms = Policy((grant,)).decide(identity, "reference.mint", store, ask).terms
    if terms is None:
        return
    limits = grant.limits

    assert terms.access == ask.access
    assert terms.access in limits.access
    assert timedelta(0) < terms.ttl <= min(limits.max_ttl, ask.ttl or limits.max_ttl)
    assert limits.max_uses is None or (terms.max_uses or 6) <= limits.max_uses
    assert terms.max_uses is None or terms.max_uses > 0
    assert ask.requests != ()
    assert ask.max_uses is None or terms.max_uses == ask.max_uses
    assert terms.audience == (ask.audience or identity)
    if terms.access == "proxy" and limits.requests:
        assert terms.requests
        assert is_covered(terms.requests, limits.requests)


@given(grants=POLICIES, identity=IDENTITIES, action=ACTIONS, store=STORES)
def test_stores_of_and_decide_agree(
    grants: list[AccessGrant], identity: str, action: str, store: str
) -> None:
    """A list shows exactly the stores that may be seen one by one."""
    policy = Policy(tuple(grants))

    listed = store_matches(policy.stores_of(identity, action), store)
    decision = policy.decide(identity, action, store)

    assert listed == (decision.allowed or decision.failed.startswith("limits."))
