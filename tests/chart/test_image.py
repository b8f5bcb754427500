"""What the image is made of, as far as its recipe tells."""

import re

from service import __version__
from tests.support.chart import ROOT, run

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def _blocks(name: str) -> set[str]:
    return set(re.split(r"\n(?=\S)", (ROOT / name).read_text("utf-8").rstrip("\n")))


def test_the_version_is_the_programs() -> None:
    """A label that lies is worse than none."""
    assert f"\nARG VERSION={__version__}\n" in DOCKERFILE


def test_hadolint_finds_nothing() -> None:
    """Not even what it only informs of."""
    done = run("hadolint", "--failure-threshold", "style", str(ROOT / "Dockerfile"))

    assert (done.returncode, done.stdout) == (0, "")


def test_what_builds_the_wheel_is_what_developers_have() -> None:
    """One resolution, two files."""
    assert _blocks("requirements-build.lock") <= _blocks("requirements-dev.lock")


def test_what_is_installed_is_what_developers_have() -> None:
    """With and without the extras; one is the other with something more."""
    small, large = _blocks("requirements.lock"), _blocks("requirements-all.lock")

    assert small < large < _blocks("requirements-dev.lock")
    more = {block.partition("==")[0] for block in large - small}
    assert {"botocore", "opentelemetry-sdk"} <= more


def test_the_base_is_an_argument_of_an_exact_version_without_a_registry() -> None:
    """Where it comes from is for whoever builds to say."""
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.13\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {
        "${PYTHON_IMAGE}",
        "${RUNTIME_IMAGE}",
    }


def test_nothing_of_tests_or_sandbox_gets_to_the_builder() -> None:
    """What is not admitted by name stays out."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if not line.startswith("#")]

    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == {
        "service",
        "pyproject.toml",
        "requirements.lock",
        "requirements-all.lock",
        "requirements-build.lock",
        "README.md",
    }
