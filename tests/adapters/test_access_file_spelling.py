"""``access.yaml`` as text: what is no YAML, or could be understood in two ways, is refused."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.adapters.access_file import AccessFileError, read_access_file


def _read(path: Path) -> object:
    return read_access_file(str(path), lambda: datetime.now(UTC))


FEATURES = "anchors, aliases, types and deep nesting are not allowed"
HEAD = b"version: 1\nissuers: []\n"
SPELLINGS: dict[str, tuple[bytes, str]] = {
    "a key twice": (HEAD + b"grants: []\ngrants: []\n", "line 1: a key stands twice"),
    "a key twice within": (
        HEAD + b"grants:\n  - {name: a, name: b}\n",
        "line 4: a key stands twice",
    ),
    "an anchor": (HEAD + b"grants: &a []\n", f"line 3: {FEATURES}"),
    "an alias": (HEAD + b"grants: *a\n", f"line 3: {FEATURES}"),
    "an anchor on text": (b"version: &a 1\n", f"line 1: {FEATURES}"),
    "a tag of Python": (b"version: !!python/object/apply:os.getcwd []\n", f"line 1: {FEATURES}"),
    "an explicit type": (HEAD + b"grants: !!seq []\n", f"line 3: {FEATURES}"),
    "an explicit type of text": (b"version: !!int '1'\n", f"line 1: {FEATURES}"),
    "a type that is not known": (b"version: !ours 1\n", f"line 1: {FEATURES}"),
    "a merge key": (
        HEAD + b"grants:\n  - <<: {name: a}\n    name: b\n",
        "line 4: merge keys are not allowed",
    ),
    "a merge key of many": (HEAD + b"<<: [{grants: []}]\n", "line 1: merge keys are not allowed"),
    "version true": (b"version: true\nissuers: []\ngrants: []\n", "version: "),
    "version a fraction": (b"version: 1.0\nissuers: []\ngrants: []\n", "version: "),
    "no YAML": (b"version: [1\n", "not YAML"),
    "a tab": (b"version:\n\t1\n", "not YAML"),
    "not UTF-8": (b"version: \xff\xfe\n", "not YAML"),
    "a zero": (b"version: \x00\n", "not YAML"),
    "a date that is none": (HEAD + b"grants: 2026-13-45\n", "not YAML"),
    "two documents": (HEAD + b"grants: []\n---\nversion: 1\n", "not YAML"),
    "deep": (b"[" * 1_000, f"line 1: {FEATURES}"),
    "deep and closed": (HEAD + b"x: " + b"[" * 20 + b"]" * 20, f"line 3: {FEATURES}"),
    "deep line by line": (b"".join(b" " * n + b"a:\n" for n in range(30)), FEATURES),
    "a list": (b"- version\n", "the file: "),
    "nothing": (b"", "the file: "),
    "too large": (b"#" * (1024 * 1024 + 1), "larger than 1048576 bytes"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_two_readers_could_understand_differently_is_refused(
    tmp_path: Path, spelling: str
) -> None:
    """And so is whatever is no YAML at all."""
    content, says = SPELLINGS[spelling]
    path = tmp_path / "access.yaml"
    path.write_bytes(content)

    with pytest.raises(AccessFileError) as caught:
        _read(path)

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(st.binary(max_size=200), st.text("versiongrants: 1[]{}-\n\"'&*!|>#%@,?", max_size=60))
)
def test_any_bytes_are_refused_in_the_same_way(tmp_path: Path, content: bytes | str) -> None:
    """Whatever is mounted, the start stops with one line."""
    path = tmp_path / "any.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(AccessFileError):
        _read(path)
