"""API keys: for development, and for machines without an identity provider. The access file holds only their SHA-256.

A key is long and random, so a plain digest is enough: there is nothing to guess. Keys are found by digest, so that no comparison of
secret text takes place.
"""

import hashlib
import re
from collections.abc import Mapping

from service.core.caller import Caller
from service.core.errors import UnauthenticatedError
from service.core.secret import Secret

# 22 characters of base64 hold 128 bits; less could be guessed.
_SHAPE = re.compile(r"[\x21-\x7e]{22,256}", re.ASCII)


class ApiKeys:
    """The API keys of one access file."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        """Take the callers by the SHA-256 of their keys, hexadecimal in lower case."""
        self._callers = callers

    def verify(self, key: Secret) -> Caller:
        """Return the caller whose key this is.

        Raises:
            UnauthenticatedError: It is nobody's, or too short to be anybody's.
        """
        text = key.reveal()
        if _SHAPE.fullmatch(text):
            caller = self._callers.get(hashlib.sha256(text.encode("ascii")).hexdigest())
            if caller is not None:
                return caller
        raise UnauthenticatedError("The proof of identity does not hold.", reason="key_unknown")
