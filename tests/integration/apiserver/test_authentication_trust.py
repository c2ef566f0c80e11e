"""The ConfigMap by which other servers recognize this cluster's callers."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.integration.apiserver.api import Api
from tiphys.apiserver.authentication_trust import AuthenticationTrust, authentication_data, combined
from tiphys.apiserver.bootstrap import Bootstrap
from tiphys.daemon import pki

PATH = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
NOW = datetime(2030, 1, 1, tzinfo=UTC)


async def test_it_holds_the_authorities_and_the_headers_of_front_proxies(api: Api, keys: Path) -> None:
    data = (await api.get(PATH)).doc["data"]
    assert data["client-ca-file"] == (keys / "pki" / "ca.crt").read_text()
    assert data["requestheader-client-ca-file"] == (keys / "pki" / "front-proxy-ca.crt").read_text()
    assert json.loads(data["requestheader-allowed-names"]) == ["front-proxy-client"]
    assert data["requestheader-username-headers"] == '["X-Remote-User"]'
    assert data["requestheader-uid-headers"] == '["X-Remote-Uid"]'
    assert data["requestheader-group-headers"] == '["X-Remote-Group"]'
    assert data["requestheader-extra-headers-prefix"] == '["X-Remote-Extra-"]'


async def test_schedulers_and_controller_managers_read_it_and_others_do_not(api: Api) -> None:
    for name in ("system:kube-scheduler", "system:kube-controller-manager"):
        assert (await api.acting_as(name).get(PATH)).status == 200
    assert (await api.acting_as("jane").get(PATH)).reason == "Forbidden"


async def test_a_start_restores_it_and_keeps_what_others_added(api: Api, keys: Path, tmp_path: Path) -> None:
    other = await asyncio.to_thread(pki.ensure, tmp_path / "other", datetime.now(UTC), names=pki.Names())
    found = (await api.get(PATH)).doc
    ours = found["data"]["client-ca-file"]
    found["data"] |= {"client-ca-file": other.ca.read_text(), "requestheader-allowed-names": '["mine"]', "more": "x"}
    assert (await api.put(PATH, found)).status == 200
    server, pairs = api.server, keys / "pki"
    bootstrap = Bootstrap(server.app, server.scheme, server.source, server.clock.now)
    trust = AuthenticationTrust(server.source, bootstrap.write, client_ca=pairs / "ca.crt", front_proxy_ca=pairs / "front-proxy-ca.crt")
    await trust.refresh(server.clock.now())
    data = (await api.get(PATH)).doc["data"]
    assert data["client-ca-file"] == ours + other.ca.read_text()
    assert data["requestheader-allowed-names"] == '["front-proxy-client","mine"]'
    assert data["more"] == "x"
    await api.delete(PATH)
    await trust.refresh(server.clock.now())
    assert (await api.get(PATH)).doc["data"]["client-ca-file"] == ours


def test_expired_and_broken_certificates_go(tmp_path: Path) -> None:
    first = pki.ensure(tmp_path / "a", NOW, names=pki.Names()).ca.read_text()
    second = pki.ensure(tmp_path / "b", NOW, names=pki.Names()).ca.read_text()
    assert combined(first, second, NOW) == second + first
    assert combined(second + first, second, NOW) == second + first
    assert combined("no certificate", second, NOW) == second
    assert combined(first, second, NOW + pki.CA_LIFE + timedelta(days=1)) == ""
    data = authentication_data({}, client_ca=first, front_proxy_ca="", now=NOW)
    assert data == {"client-ca-file": first}
