"""`kubectl certificate` and the table of requests, with a real kubectl."""

from __future__ import annotations

from pathlib import Path

from tiphys.testing.api_server import running_api_server
from tiphys.testing.csr import request_pem, signing_request
from tiphys.testing.kubectl import Kubectl

CLIENT = ("digital signature", "client auth")


async def test_approve_and_deny(tmp_path: Path) -> None:
    async with running_api_server(tmp_path, listen=True) as (_, client_for):
        kubectl, client = Kubectl.of(tmp_path), client_for("alice", "system:masters")
        for name in ("good", "bad"):
            await client.create(signing_request(request_pem(name), "example.com/signer", CLIENT, name=name, seconds=86400))
        assert "good approved" in await kubectl("certificate", "approve", "good")
        assert "bad denied" in await kubectl("certificate", "deny", "bad")
        lines = [line.split() for line in (await kubectl("get", "csr")).splitlines()]
        assert lines[0] == ["NAME", "AGE", "SIGNERNAME", "REQUESTOR", "REQUESTEDDURATION", "CONDITION"]
        shown = {name: (signer, requestor, duration, condition) for name, _, signer, requestor, duration, condition in lines[1:]}
        assert shown == {
            "good": ("example.com/signer", "alice", "24h", "Approved"),
            "bad": ("example.com/signer", "alice", "24h", "Denied"),
        }
