"""A store's life, read off what is stored: the states that nobody writes down follow from lease and intents."""

from service.core.records import Status, StoreRecord


def status_of(record: StoreRecord, *, leased: bool, unsettled: bool) -> Status:
    """Return a store's status.

    Args:
        record: What is stored.
        leased: Somebody is issuing at this moment.
        unsettled: There is an attempt whose outcome is unknown.
    """
    if record.status in ("active", "quarantined"):
        return record.status
    if leased:
        return "issuing"
    # A refusal or a new credential does not undo an earlier attempt whose outcome is unknown, but it is what matters now.
    if record.status == "pending" and unsettled:
        return "uncertain"
    return record.status
