"""``broker doctor``: whether the keyring is the one that what is in Redis was sealed with."""

from collections.abc import Mapping
from dataclasses import replace

from service.adapters.keyring_dir import KeyringDirectory
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_link import RedisLink
from service.cli.finding import Finding, ok, skipped
from service.core.errors import StorageError
from service.core.key_checks import listed, require_ours
from service.core.keyring import Keyring, KeyringError
from service.outside import key_wrappers, redis_options
from service.settings import Settings

_NAME = "keys in use"


def check_keys(settings: Settings) -> Finding:
    """Compare the keyring with the keys that Redis knows to be in use. Nothing is written."""
    try:
        ring = KeyringDirectory(settings.keyring_dir, key_wrappers(settings)).read()
    except KeyringError:
        return skipped(_NAME, "there is no usable keyring")
    link = RedisLink.connect(replace(redis_options(settings), allow_evicting=True))
    try:
        return _judge(ring, RedisKeys(link).checks(), settings.instance)
    except StorageError:
        return skipped(_NAME, "Redis does not answer")
    finally:
        link.close()


def _judge(ring: Keyring, checks: Mapping[str, bytes], instance: str) -> Finding:
    try:
        require_ours(ring, checks, instance)
    except KeyringError as error:
        return Finding(
            _NAME,
            "failed",
            str(error),
            "The broker refuses this keyring: it starts locked, or goes on with the one that it has.",
            "Put back the keys that this Redis was sealed with, or correct BROKER_REDIS_URL or BROKER_INSTANCE: one of the three is"
            " another installation's.",
        )
    missing = checks.keys() - set(ring.key_ids)
    if missing:
        return Finding(
            _NAME,
            "failed",
            f"{listed(missing)} is in use, and not in the keyring",
            "What is sealed with it cannot be opened: its stores are shown as quarantined (key_unavailable), its references fail.",
            "Put it back, and take it away only after 'broker keys rewrap' and 'broker keys retire'.",
        )
    return ok(_NAME, listed(checks) if checks else "none yet")
