"""Real kubectl against a `Front`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.node.serve.streaming.neighbors import Front
from tiphys.testing.kubectl import Kubectl

both_upgrades = pytest.mark.parametrize("upgrade", ["websocket", "SPDY/3.1"], ids=["websocket", "spdy"])


class Streaming(Kubectl):
    """kubectl with one front and one way of streaming: "websocket", or "SPDY/3.1" as old versions speak."""

    def __init__(self, front: Front, home: Path, upgrade: str) -> None:
        super().__init__(home, f"--server=http://127.0.0.1:{front.port}")
        switch = "true" if upgrade == "websocket" else "false"
        self.env |= {"TERM": "xterm", "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": switch, "KUBECTL_PORT_FORWARD_WEBSOCKETS": switch}
