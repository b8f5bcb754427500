"""Whether a client has gone, as the server beneath lets us see it."""

import socket
from concurrent.futures import ThreadPoolExecutor

from service.web.transport import client_gone


def test_two_threads_may_look_at_a_time_whether_a_client_has_gone() -> None:
    """One that serves the request, and the one that watches all deadlines and must not end by an error."""
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(4) as threads:
        gone = client_gone({"gunicorn.socket": ours})
        assert gone is not None
        looks = [threads.submit(lambda: [gone() for _ in range(5_000)]) for _ in range(4)]

        assert not any(any(look.result()) for look in looks)


def test_a_client_that_has_closed_its_side_has_gone() -> None:
    """Not before."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        gone = client_gone({"gunicorn.socket": ours})
        assert gone is not None
        before = gone()

        theirs.close()

        assert (before, gone()) == (False, True)
