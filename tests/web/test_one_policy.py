"""F77: the access file may change at any moment, and yet one version of it decides all of a request."""

import pytest

from tests.support.world import World
from tests.web.calling import Api
from tests.web.oracle import RIGHTS
from tests.web.test_audit_matrix import Prepared, right


@pytest.mark.parametrize("operation", RIGHTS)
def test_a_request_is_decided_by_one_version_of_the_access_file(operation: str) -> None:
    """Which is taken once: what is never asked for again cannot be another one."""
    api = Api(World())
    prepared = Prepared(api, right(operation))
    before = api.snapshots

    answer, _ = prepared.ask()

    assert answer.status_code not in (401, 403)
    assert api.snapshots == before + 1
