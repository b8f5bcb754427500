"""Who is calling: exactly one proof of identity, or none of the API."""

from werkzeug import Request

from service.core.caller import Caller
from service.core.errors import UnauthenticatedError
from service.core.ports import Access
from service.core.secret import Secret

KEY_HEADER = "Broker-Key"
_SCHEME = "bearer "


def authenticate(request: Request, access: Access) -> Caller:
    """Return the proven caller of a request.

    Raises:
        UnauthenticatedError: No proof, more than one, or one that does not hold.
    """
    authorization = request.headers.get("Authorization")
    key = request.headers.get(KEY_HEADER)
    if authorization is not None and key is not None:
        # Two proofs could name two callers; which one counts would be a guess.
        raise UnauthenticatedError("One proof of identity is needed.", reason="two_proofs")
    if key is not None:
        return access.by_key(Secret(key))
    if authorization is not None and authorization[: len(_SCHEME)].lower() == _SCHEME:
        return access.by_token(Secret(authorization[len(_SCHEME) :]))
    raise UnauthenticatedError("One proof of identity is needed.", reason="no_proof")
