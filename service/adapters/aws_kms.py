"""Keys wrapped by AWS KMS. Fulfils ``KeyWrapper``. Needs the extra ``aws`` (botocore).

The broker needs ``kms:Decrypt`` on the KMS key only; whoever makes keys, ``kms:Encrypt``. The installation and the key's id are the
encryption context, so that a wrapped key is good under its own name only, and so that CloudTrail and key policies see both.

Credentials are those of the workload (web identity, container, instance) or of a file; never from the environment, where
``AWS_SECRET_ACCESS_KEY`` would be a secret.

Source: AWS KMS API reference, Encrypt and Decrypt.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from service.core.keyring import KeyringError

_CONNECT_SECONDS = 2
_READ_SECONDS = 5
_CODE = re.compile("[A-Za-z.]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AwsKmsOptions:
    """Where the KMS key is.

    Attributes:
        key: Its id, ARN or alias; empty where there is none.
        region: Of the key.
        url: Of the service, for a VPC endpoint; empty for the region's own.
        credentials_file: An AWS credentials file; empty for the workload's own identity.
        instance: The installation, which wrapped keys are bound to.
    """

    key: str
    region: str
    url: str
    credentials_file: str
    instance: str


class AwsKms:
    """Wraps and unwraps by one KMS key."""

    def __init__(self, options: AwsKmsOptions) -> None:
        """Take where it is; nothing is connected before the first call."""
        self._options = options
        self._client: Any = None

    def wrap(self, key_id: str, material: bytes) -> str:
        """See ``KeyWrapper.wrap``."""
        blob = self._ask("encrypt", "CiphertextBlob", key_id, Plaintext=material)
        return base64.b64encode(blob).decode("ascii")

    def unwrap(self, key_id: str, wrapped: str) -> bytes:
        """See ``KeyWrapper.unwrap``."""
        try:
            blob = base64.b64decode(wrapped, validate=True)
        except (ValueError, binascii.Error):
            raise KeyringError("it is not base64") from None
        return self._ask("decrypt", "Plaintext", key_id, CiphertextBlob=blob)

    def _ask(self, operation: str, wanted: str, key_id: str, **fields: bytes) -> bytes:
        """Return one member of the answer."""
        if not self._options.key:
            raise KeyringError("BROKER_AWS_KMS_KEY is not set")
        try:
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise KeyringError("the extra 'aws' is not installed") from None
        context = {"b2b-broker:instance": self._options.instance, "b2b-broker:key_id": key_id}
        try:
            if self._client is None:
                self._client = _client(self._options)
            answer = getattr(self._client, operation)(
                KeyId=self._options.key, EncryptionContext=context, **fields
            )
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            shown = code if _CODE.fullmatch(code) else "no code"
            raise KeyringError(f"AWS KMS refused to {operation} it ({shown})") from None
        except (BotoCoreError, ValueError) as error:
            raise KeyringError(f"AWS KMS cannot be asked ({type(error).__name__})") from None
        found = answer.get(wanted)
        if not isinstance(found, bytes):
            raise KeyringError("AWS KMS answered something that is no key")
        return found


def _client(options: AwsKmsOptions) -> Any:
    from botocore.config import Config
    from botocore.session import Session

    session = Session()
    if options.credentials_file:
        session.set_config_variable("credentials_file", options.credentials_file)
    session.get_component("credential_provider").remove("env")
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": 2, "mode": "standard"},
        proxies={},  # none of the environment's
    )
    return session.create_client(
        "kms", region_name=options.region, endpoint_url=options.url or None, config=config
    )
