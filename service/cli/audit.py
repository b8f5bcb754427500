"""``broker audit``: verify the audit trail, look into it, and make the key that signs it."""

import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from service.adapters.signing_key import SigningKeyError, new_signing_key, read_public_key
from service.cli.api import Api, reaches_broker
from service.cli.audit_files import files_argument, read_files
from service.cli.audit_query import query
from service.cli.exits import Exit
from service.cli.parameters import UnusableFileError, examples
from service.cli.showing import as_json, show_rows
from service.core.audit_report import Report
from service.core.audit_schema import audit_schema
from service.core.audit_verify import Verifier
from service.core.clock import rfc3339

_OWNER_ONLY, _FOR_ALL = 0o600, 0o644


@click.group()
def audit() -> None:
    """Verify the audit trail and look into it.

    Every process of the broker writes a chain of entries, each with the hash of the one before, and signs every few seconds how far it
    has come. docs/audit.md says what is in an entry.
    """


audit.add_command(query)


@audit.command(name="new-key", epilog=examples("broker audit new-key audit.pem"))
@click.argument("file", type=click.Path(path_type=Path))
def new_key(file: Path) -> None:
    """Make the key that signs the heads: the private key in FILE, the public key beside it in FILE.pub.

    No existing file is ever changed. FILE is for BROKER_AUDIT_SIGNING_KEY_FILE of every replica; whoever has it can make up a trail.
    FILE.pub is for whoever verifies: keep it where nobody who runs the broker can replace it.
    """
    private, public = new_signing_key()
    public_file = file.with_name(f"{file.name}.pub")
    for path, content, mode in ((file, private, _OWNER_ONLY), (public_file, public, _FOR_ALL)):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            raise click.ClickException(f"{path}: {error.strerror}") from None
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
    click.echo(f"{file} signs; {public_file} verifies")


@audit.command(epilog=examples("broker audit heads > heads.json"))
@reaches_broker
def heads(api: Api) -> None:
    """Export the signed heads of all writers from the running broker, as JSON, for `verify --heads`.

    Do this from time to time and keep the exports away from broker and Redis: they also show what was put back to an older state
    everywhere at once. Needs the action audit.read on all stores.
    """
    click.echo(json.dumps({"heads": _exported(api)}, indent=1))


@audit.command(
    epilog=examples(
        "broker audit verify audit.jsonl --heads heads.json --public-key audit.pem.pub",
        "broker audit verify audit.jsonl audit.jsonl.1 --online --public-key audit.pem.pub",
    )
)
@files_argument
@click.option("--heads", "exports", multiple=True, help="An export of heads; may be repeated.")
@click.option("--online", is_flag=True, help="Also take the heads from the running broker.")
@click.option(
    "--public-key",
    "public_key_files",
    multiple=True,
    help="FILE.pub of the key that signs the heads; may be repeated, when the key was changed.",
)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]),
    help="The files are complete only from this time (UTC) on.",
)
@as_json
@reaches_broker
def verify(  # noqa: PLR0913 — one parameter for each option
    api: Api,
    files: tuple[str, ...],
    exports: tuple[str, ...],
    *,
    online: bool,
    public_key_files: tuple[str, ...],
    since: datetime | None,
    in_json: bool,
) -> None:
    """Find what was edited, left out, moved, cut off, repeated or made up in the audit trail in FILE...

    The files may be rotated (in any order on the command line), packed (.gz), or a container's standard output with other lines in
    between. Give all files of all replicas: heads are of the whole installation.

    Exit codes: 0 nothing is wrong and signed heads vouch for every chain; 1 something is wrong; 2 wrong usage, or a file
    that cannot be read; 3 the broker cannot be asked; 4 nothing is wrong, but a chain, or the end of one, has no head that
    vouches for it.
    """
    if (exports or online) and not public_key_files:
        raise click.UsageError("heads are worth nothing without --public-key")
    keys = [_read_key(file) for file in public_key_files]
    verifier = Verifier(keys, since.replace(tzinfo=UTC) if since else None)
    # Heads first: the files may grow meanwhile, and then only have more than was signed.
    if online:
        verifier.take_heads((head["writer"], head["signed"]) for head in _exported(api))
    for export in exports:
        verifier.take_heads(_read_export(export))
    for place, line in read_files(files):
        verifier.read(place, line)
    report = verifier.report()
    if in_json:
        click.echo(json.dumps(asdict(report), indent=1, default=_shown_time))
    else:
        _show(report)
    sys.exit(
        {"whole": Exit.DONE, "broken": Exit.REFUSED, "unproven": Exit.UNPROVEN}[report.verdict]
    )


@audit.command(epilog=examples("broker audit schema > audit.schema.json"))
def schema() -> None:
    """Export the JSON Schema of an audit line."""
    click.echo(json.dumps(audit_schema(), indent=2))


def _read_key(file: str) -> Ed25519PublicKey:
    try:
        return read_public_key(file)
    except SigningKeyError as error:
        raise UnusableFileError(f"{file}: {error}") from None


def _exported(api: Api) -> list[dict[str, Any]]:
    return list(api.pages("/v1/audit/heads", "heads"))


def _read_export(export: str) -> list[tuple[str, str]]:
    try:
        rows = json.loads(Path(export).read_text("utf-8"))["heads"]
        return [(str(row["writer"]), str(row["signed"])) for row in rows]
    except OSError:
        raise UnusableFileError(f"{export} cannot be read") from None
    except (ValueError, KeyError, TypeError):
        raise UnusableFileError(f"{export} is no export of `broker audit heads`") from None


def _show(report: Report) -> None:
    rows = [
        {
            "kind": finding.kind,
            "writer": finding.writer,
            "entry": finding.seq,
            "where": f"{finding.place.file}:{finding.place.line}" if finding.place else "",
            "what": finding.text,
        }
        for finding in report.findings
    ]
    if rows:
        show_rows(rows, ("kind", "writer", "entry", "where", "what"), in_json=False)
    hidden = sum(report.counts.values()) - len(rows)
    if hidden:
        click.echo(f"and {hidden} more")
    signed = sum(chain.signed_to > 0 for chain in report.chains)
    click.echo(
        f"{report.verdict}: {report.entries} entries in {len(report.chains)} chains, {signed} of them signed;"
        f" {report.others} other lines skipped"
    )


def _shown_time(value: object) -> str:
    assert isinstance(value, datetime)  # noqa: S101 — a report holds nothing else that JSON does not know
    return rfc3339(value)
