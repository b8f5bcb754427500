"""What would policy say? The same decision as for a real request, shown instead of acted upon."""

from service.core.gate import About, Call, Gate
from service.core.policy import Decision, MintAsk


class Explaining:
    """The use case about policy itself."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def explain(
        self, call: Call, identity: str, action: str, store_hash: str, ask: MintAsk | None
    ) -> Decision:
        """Return what policy decides for somebody else's request.

        Raises:
            ForbiddenError: The caller may not read policy.
        """
        about = About("policy.read", store_hash, subject=identity)
        decision = self._gate.authorise(call, about)
        self._gate.record(call, about, "allowed", decision.grant)
        return call.policy.decide(identity, action, store_hash, ask)
