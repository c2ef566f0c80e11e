"""Addresses that the server connects to for its clients."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import BadRequest
from tiphys.apiserver.kubelet import KUBELET_PORT, KubeletConnector
from tiphys.apiserver.subresources.proxy import split_target
from tiphys.apiserver.targets import AddressNotAllowed, is_proxyable, proxyable


@pytest.mark.parametrize("address", ["10.42.0.9", "192.0.2.1", "8.8.8.8", "fd00::1", "2001:db8::1", "::ffff:10.0.0.1"])
def test_unicast_addresses_are_proxyable(address: str) -> None:
    assert is_proxyable(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.1.2.3", "169.254.169.254", "0.0.0.0", "224.0.0.1", "239.255.255.250", "255.255.255.255"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254"),
        *("", "localhost", "2130706433", "0x7f.1", "127.1"),
    ],
)
def test_loopback_link_local_unspecified_and_multicast_are_not(address: str) -> None:
    assert not is_proxyable(address)


@pytest.mark.parametrize(
    ("found", "allowed"),
    [(["10.0.0.1"], True), (["10.0.0.1", "10.0.0.2"], True), (["10.0.0.1", "127.0.0.1"], False), (["::1"], False)],
)
async def test_every_address_of_a_name_is_judged(found: list[str], allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(host: str, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        assert host == "node.example"
        return [(0, 0, 0, "", (address, 0)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    if allowed:
        assert await proxyable("node.example") == found[0]
    else:
        with pytest.raises(AddressNotAllowed, match="address not allowed"):
            await proxyable("node.example")


def node(address: str, port: int = 0) -> core.Node:
    endpoints = core.NodeDaemonEndpoints(kubeletEndpoint=core.DaemonEndpoint(Port=port))
    status = core.NodeStatus(addresses=[core.NodeAddress(type="InternalIP", address=address)], daemonEndpoints=endpoints)
    return core.Node(status=status)


async def test_a_kubelet_of_this_machine_is_where_the_settings_say_and_not_where_its_status_says() -> None:
    nodes = {"far": node("192.0.2.7"), "evil": node("127.0.0.1", 6443), "here": node("127.0.0.1", 6443), "there": node("192.0.2.8", 9)}
    connector = KubeletConnector(nodes.get, None, local={"here": ("127.0.0.1", 10250), "there": ("127.0.0.1", 10250)})
    assert await connector.location("far") == ("192.0.2.7", KUBELET_PORT)
    assert await connector.location("here") == ("127.0.0.1", 10250)
    assert await connector.location("there") == ("192.0.2.8", 9)
    with pytest.raises(AddressNotAllowed):
        await connector.location("evil")


def test_targets_have_a_scheme_a_name_and_a_port() -> None:
    assert split_target("web", "pod") == ("", "web", "")
    assert split_target("web:80", "pod") == ("", "web", "80")
    assert split_target("https:web:", "pod") == ("https", "web", "")


@pytest.mark.parametrize("text", [":80", "ftp:web:1", "https::443", "a:b:c:d"])
def test_rejects_targets_without_a_name_or_with_another_scheme(text: str) -> None:
    with pytest.raises(BadRequest, match="invalid node request"):
        split_target(text, "node")
