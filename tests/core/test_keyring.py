"""The keyring: keys by id, one derived key for each purpose."""

import pytest

from service.core.errors import IntegrityError
from service.core.keyring import Key, Keyring, Purpose
from tests.support.world import keyring

MATERIAL = b"canary-key-material".ljust(32, b"*")
FROZEN_MACS: dict[Purpose, str] = {
    "grant": "2cc0010d0d664abcd15931cf52ac14e1a857c5b6964be3d18a93a1b9659ab29d",
    "store": "0a989bac9333156ffe11da9deb2dd322caa54a9deafdb17cff61fd8895b36ff7",
    "fingerprint": "698e895ee0824de56634edf1a2c8db4e35e935a8cc2fc5e3a7de70fd887d93a8",
    "audit": "0c137de26cec07c5a7eb3840e900cf343ad6bc67d8b20bf9142cf683cd6a2612",
    "cursor": "8e85308a22dce3ceb7cb7e0ea4898342d40124683805f872e703f79761890eaf",
}


@pytest.mark.parametrize("key_id", ["", "A", "k 1", "k1\n", "-k", "_k", "k" * 33, "ké", "k.1"])
def test_a_key_id_in_another_shape_is_refused(key_id: str) -> None:
    """It becomes a file name and a part of stored values."""
    with pytest.raises(ValueError, match="a key id is"):
        Key(key_id, MATERIAL)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    """A truncated file must not become a weak key."""
    with pytest.raises(ValueError, match="32 bytes"):
        Key("k1", b"x" * length)


def test_keys_and_rings_show_ids_only() -> None:
    """A ring in a log line or traceback gives nothing away."""
    key = Key("k1", MATERIAL)

    shown = repr(key) + repr(Keyring({"k1": key}, "k1")) + str(key)

    assert "k1" in shown
    assert "canary" not in shown


def test_the_primary_must_be_in_the_ring() -> None:
    """A ring that cannot seal is none."""
    with pytest.raises(ValueError, match="primary"):
        Keyring({"k1": Key("k1", MATERIAL)}, "k2")


def test_a_ring_does_not_change_with_the_mapping_it_was_made_of() -> None:
    """What is in force is replaced as a whole."""
    keys = {"k1": Key("k1", MATERIAL)}
    ring = Keyring(keys, "k1")

    keys["k2"] = Key("k2", MATERIAL)

    assert ring.key_ids == ("k1",)


def test_a_key_that_is_not_in_the_ring_is_unavailable() -> None:
    """It has its own reason, because the remedy is to bring the key back."""
    with pytest.raises(IntegrityError) as refused:
        keyring("k1", "k2").key("k3")

    assert refused.value.reason == "key_unavailable"
    assert keyring("k2", "k1").key_ids == ("k1", "k2")


@pytest.mark.parametrize("purpose", FROZEN_MACS)
def test_the_mac_of_each_purpose_is_frozen(purpose: Purpose) -> None:
    """Stored grants, records and fingerprints verify for ever."""
    assert keyring().primary.mac(purpose, b"message").hex() == FROZEN_MACS[purpose]


def test_a_mac_for_one_purpose_is_worthless_for_another() -> None:
    """Each purpose has its own key, and so has each key of the ring."""
    macs = {
        keyring("k1", "k2").key(key_id).mac(purpose, b"message")
        for purpose in FROZEN_MACS
        for key_id in ("k1", "k2")
    }

    assert len(macs) == 2 * len(FROZEN_MACS)
