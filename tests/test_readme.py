"""The README is true: its table of settings, and its example of an access file."""

import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from pydantic.fields import FieldInfo

from service.adapters.access_file import read_access_file
from service.core.lifecycle import life_as_markdown
from service.settings import Settings, environment_names
from tests.support.clock import ManualClock
from tests.support.pki import Authority

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def _default(field: FieldInfo) -> str:
    shown = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    return f"`{shown}`" if shown else ""


def test_the_table_of_settings_is_complete_and_right() -> None:
    """Name, default and meaning of every setting, in the order of the code."""
    names = environment_names()
    expected = [
        f"| `{names[name]}` | {_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]

    table = README.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]

    assert table.strip().splitlines()[2:] == expected


def test_the_example_of_an_access_file_loads(tmp_path: Path) -> None:
    """What a newcomer copies is a valid file, its own tests included."""
    public = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [public]}), "utf-8")
    example = README.partition("```yaml\n")[2].partition("```")[0]
    bundle = Authority(tmp_path).ca_file
    path = tmp_path / "access.yaml"
    keyed = re.sub(r"/etc/broker/\S+?\.json", str(tmp_path / "jwks.json"), example)
    path.write_text(keyed.replace("/etc/broker/bundle.pem", str(bundle)), "utf-8")

    access = read_access_file(str(path), ManualClock())

    assert access.policy.grants[0].name == "platform operators"


@pytest.mark.parametrize("path", re.findall(r"\]\(([\w./-]+)\)", README))
def test_links_lead_somewhere(path: str) -> None:
    """Every relative link of the README names a file of the repository."""
    assert (ROOT / path).exists()


def test_the_life_of_a_store_in_the_architecture_is_the_table_of_the_code() -> None:
    """States and events have one source."""
    architecture = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    table = architecture.partition("<!-- life -->\n")[2].partition("\n<!-- /life -->")[0]

    assert table == life_as_markdown()
