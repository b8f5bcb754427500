"""``broker doctor``: what the broker reads from files, checked as the broker itself does."""

import os
from pathlib import Path

from service.adapters.access_file import read_access_file
from service.adapters.access_schema import AccessFileError
from service.adapters.audit_file import STDOUT, AuditFile
from service.adapters.keyring_dir import KeyringDirectory
from service.adapters.signing_key import SigningKeyError, read_signing_key
from service.adapters.stores_dir import StoresDirectory
from service.app import now
from service.cli.finding import Finding, ok
from service.core.errors import AuditError
from service.core.keyring import KeyringError
from service.outside import key_wrappers
from service.server import check_tls_files
from service.settings import Settings, SettingsError


def check_keyring(settings: Settings) -> Finding:
    """Look whether there is a keyring that can be used."""
    try:
        ring = KeyringDirectory(settings.keyring_dir, key_wrappers(settings)).read()
    except KeyringError as error:
        return Finding(
            "keyring",
            "failed",
            str(error),
            "The broker starts locked: alive, not ready, and 503 on everything.",
            f"Put the keys into {settings.keyring_dir}, readable by the broker alone; it unlocks by itself. For a first"
            " installation: broker keys new DIR. Never make a new ring beside stores that were sealed with another.",
        )
    return ok("keyring", f"{len(ring.key_ids)} keys, {ring.primary.key_id} is primary")


def check_access_file(settings: Settings) -> Finding:
    """Look whether the access file would be taken."""
    try:
        snapshot = read_access_file(settings.access_file, now)
    except AccessFileError as error:
        return Finding(
            "access file",
            "failed",
            str(error),
            "A broker that runs keeps the version it has; one that starts with this does not.",
            f"Mend it: broker access check {settings.access_file}",
        )
    return ok("access file", f"{len(snapshot.policy.grants)} grants")


def check_audit(settings: Settings) -> Finding:
    """Look whether the audit trail can be written."""
    try:
        AuditFile(settings.audit_file, lambda _reason: None).probe()
    except AuditError as error:
        return Finding(
            "audit trail",
            "failed",
            f"{settings.audit_file}: {error.reason}",
            "Without a record nothing is released: every request that matters ends with 503.",
            "Let the broker's user write there, and see that the disk is not full. It recovers by itself.",
        )
    return ok("audit trail", "standard output" if settings.audit_file == STDOUT else "writable")


def check_signing_key(settings: Settings) -> Finding:
    """Look whether the audit trail is signed."""
    name = "audit signing key"
    if not settings.audit_signing_key_file:
        return Finding(
            name,
            "warning",
            "none is set",
            "Nobody can tell whether the audit trail was cut off or written anew.",
            "broker audit new-key FILE, and BROKER_AUDIT_SIGNING_KEY_FILE of every replica.",
        )
    try:
        read_signing_key(settings.audit_signing_key_file)
    except SigningKeyError as error:
        return Finding(
            name,
            "failed",
            f"{settings.audit_signing_key_file}: {error}",
            "The broker does not start.",
            "Mount the private key that 'broker audit new-key' has made, readable by the broker alone.",
        )
    return ok(name, "signs")


def check_mounted(settings: Settings) -> Finding:
    """Look whether the mounted credentials can be read."""
    if not settings.stores_dir:
        return ok("mounted credentials", "none are configured")
    if not Path(settings.stores_dir).is_dir():
        return Finding(
            "mounted credentials",
            "warning",
            f"{settings.stores_dir} is not there",
            "No store gets its token by itself, until there is such a directory.",
            "Mount it, or correct BROKER_STORES_DIR.",
        )
    mounted = StoresDirectory(settings.stores_dir)
    found = mounted.versions()
    for store_hash in found:
        mounted.find(store_hash)
    if mounted.problem:
        return Finding(
            "mounted credentials",
            "failed",
            mounted.problem,
            "Those stores get no token by themselves, and are not repaired.",
            "One directory for each store, named by its hash, with email and password, or access_token.",
        )
    return ok("mounted credentials", f"of {len(found)} stores")


def check_redis_password(settings: Settings) -> Finding:
    """Look whether the files with passwords of Redis and its sentinels can be read; whether they are right Redis tells."""
    name = "redis password"
    files = [settings.redis_password_file, settings.redis_sentinel_password_file]
    for file in filter(None, files):
        if not os.access(file, os.R_OK):
            return Finding(
                name,
                "failed",
                f"{file} cannot be read",
                "No connection to Redis is made: the broker answers 503 (storage_unavailable).",
                "Mount it, readable by the broker's user. It is taken up without a restart.",
            )
    return ok(name, "can be read" if any(files) else "none is set")


def check_tls(settings: Settings) -> Finding:
    """Look whether the API is served over TLS with a certificate that can be used."""
    if not settings.tls_cert_file:
        return Finding(
            "tls",
            "warning",
            "the API is plain HTTP",
            "Workload tokens, references and redeemed tokens can be read on the network, unless a mesh encrypts it.",
            "Set BROKER_TLS_CERT_FILE and BROKER_TLS_KEY_FILE, or see that nothing but a mesh's sidecar reaches the port.",
        )
    try:
        check_tls_files(settings)
    except SettingsError as error:
        return Finding(
            "tls", "failed", str(error), "The broker does not start.", "Mount the right files."
        )
    return ok("tls", "the certificate fits its key")
