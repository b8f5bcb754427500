"""A store's status: what is stored, who is issuing, and what is unsettled, in one table."""

import pytest

from service.core.lifecycle import Status, StoredStatus, shown


@pytest.mark.parametrize(
    ("stored", "leased", "unsettled", "expected"),
    [
        ("pending", False, False, "pending"),
        ("pending", False, True, "uncertain"),
        ("pending", True, False, "issuing"),
        ("pending", True, True, "issuing"),
        ("rejected", False, False, "rejected"),
        ("rejected", False, True, "rejected"),
        ("rejected", True, False, "issuing"),
        ("rejected", True, True, "issuing"),
        ("needs_credential", False, False, "needs_credential"),
        ("needs_credential", False, True, "needs_credential"),
        ("needs_credential", True, True, "issuing"),
        ("active", False, False, "active"),
        ("active", False, True, "active"),
        ("active", True, False, "active"),
        ("active", True, True, "active"),
        ("quarantined", False, False, "quarantined"),
        ("quarantined", False, True, "quarantined"),
        ("quarantined", True, True, "quarantined"),
    ],
)
def test_the_status_of_a_store_follows_from_record_lease_and_intents(
    stored: StoredStatus, *, leased: bool, unsettled: bool, expected: Status
) -> None:
    """``issuing`` and ``uncertain`` are stored nowhere; a working token and a quarantine outrank both."""
    assert shown(stored, leased=leased, unsettled=unsettled) == expected
