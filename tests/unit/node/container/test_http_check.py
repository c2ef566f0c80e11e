"""Requests of HTTP probes, and the redirects they follow."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.node.container.http_check import Reply, redirect, request_bytes, target

URL = "http://10.0.0.1:80/x"


def lines(*headers: tuple[str, str], url: str = URL) -> list[str]:
    listed = [core.HTTPHeader(name=name, value=value) for name, value in headers]
    text = request_bytes(url, listed, "kube-probe/1.36").decode()
    assert text.endswith("\r\n\r\n")
    return text[:-4].split("\r\n")


def test_a_request_without_headers_of_its_own() -> None:
    assert lines() == [
        "GET /x HTTP/1.1",
        "Host: 10.0.0.1:80",
        "User-Agent: kube-probe/1.36",
        "Accept: */*",
        "Connection: close",
    ]


@pytest.mark.parametrize(
    ("headers", "there", "gone"),
    [
        ([("X-Part", "one"), ("x-part", "two")], ["X-Part: one", "X-Part: two"], []),
        ([("host", "a.example"), ("Host", "b.example")], ["Host: a.example"], ["Host: 10.0.0.1:80", "Host: b.example"]),
        ([("User-Agent", "me"), ("user-agent", "you")], ["User-Agent: me"], ["User-Agent: you", "User-Agent: kube-probe/1.36"]),
        ([("User-Agent", "")], [], ["User-Agent: ", "User-Agent: kube-probe/1.36"]),
        ([("Accept", "a"), ("Accept", "b")], ["Accept: a", "Accept: b"], ["Accept: */*"]),
        ([("Accept", "")], [], ["Accept: ", "Accept: */*"]),
        ([("X-Empty", "")], ["X-Empty: "], []),
        ([("X-Line", " a\r\nHost: b ")], ["X-Line: a  Host: b"], ["Host: b"]),
        ([("Content-Length", "5"), ("Connection", "close")], ["Connection: close"], ["Content-Length: 5"]),
    ],
)
def test_headers_of_a_probe(headers: list[tuple[str, str]], there: list[str], gone: list[str]) -> None:
    sent = lines(*headers)
    assert [line for line in there if sent.count(line) != 1] == []
    assert [line for line in gone if line in sent] == []


@pytest.mark.parametrize(
    ("path", "url"),
    [("/a?b=c", "/a?b=c"), ("a", "/a"), ("", "/"), ("/a b#part", "/a%20b"), ("/%41", "/%41"), ("http://other/x?y", "/x?y")],
)
def test_the_url_of_a_probe(path: str, url: str) -> None:
    assert target("http", "10.0.0.1", 80, path) == f"http://10.0.0.1:80{url}"
    assert target("https", "fd00::1", 80, path) == f"https://[fd00::1]:80{url}"


@pytest.mark.parametrize(
    ("status", "location", "following"),
    [
        (302, "/next", "http://10.0.0.1:80/next"),
        (301, "https://10.0.0.1:8443/", "https://10.0.0.1:8443/"),
        (308, "next?a", "http://10.0.0.1:80/next?a"),
        (302, "http://other.example/", ""),
        (302, "//10.0.0.2/", ""),
        (302, "ftp://10.0.0.1/", ""),
        (302, "", ""),
        (304, "/next", ""),
        (200, "/next", ""),
    ],
)
def test_redirects_are_followed_on_the_same_host(status: int, location: str, following: str) -> None:
    assert redirect(URL, Reply(status, location, "")) == following
