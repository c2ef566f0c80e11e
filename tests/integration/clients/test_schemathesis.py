"""Schemathesis asks for everything that the served OpenAPI offers, with right and wrong values: nothing fails inside and nothing hangs."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.apiserver.api import Api
from tests.integration.apiserver.conftest import with_default_account
from tiphys.testing.api_server import running_api_server

BUDGET = 45
"""Seconds, which are spent whole; all operations have their turn in the first half of them on a quiet machine."""
EXAMPLES = 1
ENDLESS = {"watch", "follow"}
"""Parameters that make an answer go on until somebody ends it, as they should."""


def bounded(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what waits for ever, and without proxies, behind which nothing is."""
    paths = {path: methods for path, methods in document["paths"].items() if "/proxy" not in path and "/watch/" not in path}
    for methods in paths.values():
        for operation in methods.values():
            operation["parameters"] = [one for one in operation.get("parameters", []) if one["name"] not in ENDLESS]
    return document | {"paths": paths}


async def test_everything_that_openapi_offers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    async with running_api_server(tmp_path, listen=True) as (server, _):
        api = Api(server)
        await with_default_account(api)
        document = bounded((await api.get("/openapi/v2")).doc)
        operations = sum(len(methods) for methods in document["paths"].values())
        (tmp_path / "openapi.json").write_text(json.dumps(document))
        pki = tmp_path / "pki"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "run", "openapi.json", "--url", f"https://127.0.0.1:{server.port}"),
            *("--request-cert", str(pki / "admin.crt"), "--request-cert-key", str(pki / "admin.key"), "--tls-verify", str(pki / "ca.crt")),
            *("--checks", "not_a_server_error", "--phases", "fuzzing", "--max-examples", str(EXAMPLES), "--generation-deterministic"),
            *("--no-shrink", "--continue-on-failure", "--request-timeout", "10", "--max-time", str(BUDGET), "--warnings", "off"),
            *("--no-color",),
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 4 * BUDGET)
        said = out.decode()
        assert process.returncode == 0, said
        tested = re.search(r"Tested: (\d+)", said)
        assert tested is not None, said
        assert int(tested[1]) > operations * 0.5, said
        assert (await api.get("/readyz")).status == 200
    assert not [record for record in caplog.records if record.name.startswith("tiphys")], caplog.text
