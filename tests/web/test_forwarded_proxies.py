"""A proxy that is trusted is never the caller, whoever says so."""

from pathlib import Path

from tests.support.access import PROXY
from tests.support.tls import Handshakes, workload
from tests.support.world import World
from tests.web.calling import Api
from tests.web.meshing import FORWARDED, OTHER, ROOT, Meshed, whoami


def test_a_proxy_cannot_vouch_for_a_trusted_proxy(world: World, tmp_path: Path) -> None:
    """With two proxies in a row the first would else be the caller for everybody."""
    api = Api(world)
    api.access = Meshed(world.clock)

    with Handshakes(tmp_path, ROOT, OTHER).peer(workload(PROXY, ROOT)) as proxy:
        answer = whoami(api, proxy, {FORWARDED: f"By={PROXY};URI={PROXY}"})

    assert answer.status_code == 401
    assert world.audit.entries[-1].reason == "forwarded_proxy"
