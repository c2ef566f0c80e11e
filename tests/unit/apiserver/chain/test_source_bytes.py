"""Bytes that a write's object is made of."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery import codec
from tiphys.apiserver.chain.context import Context
from tiphys.wire.http import Request


def source_bytes(headers: dict[str, str]) -> int:
    request = Request("PUT", "/api/v1/namespaces/a/configmaps/b", headers=headers, body=b"{}" * 50)
    return Context(request, None, SCHEME.of(core.ConfigMap), None, None).source_bytes(11)  # type: ignore[arg-type]


@pytest.mark.parametrize("media", ["application/json", "application/merge-patch+json", "application/json-patch+json"])
def test_json_counts_with_the_stored_object(media: str) -> None:
    assert source_bytes({"content-type": media}) == source_bytes({}) == 111


@pytest.mark.parametrize("media", ["application/yaml", "application/apply-patch+yaml", "application/yaml;a=json", codec.PROTOBUF])
def test_the_size_of_other_bodies_bounds_nothing(media: str) -> None:
    assert source_bytes({"content-type": media}) == 0
