"""Warnings about pods whose parts clash with each other: their number and the work for them stay near the size of the pod."""

from __future__ import annotations

from contextlib import suppress
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.core.pods.warnings import MOST_OVERLAPS, overlapping, spec_warnings, template_warnings
from tiphys.api.core.v1 import (
    ConfigMapProjection,
    ConfigMapVolumeSource,
    Container,
    ContainerPort,
    KeyToPath,
    PodSpec,
    PodTemplateSpec,
    ProjectedVolumeSource,
    Volume,
    VolumeProjection,
)
from tiphys.api.machinery.sink import MAX_WARNING, MAX_WARNINGS, Full, Warnings
from tiphys.apiserver.answers.render import warning_headers


def with_ports(ports: list[ContainerPort]) -> PodSpec:
    return PodSpec(containers=[Container(name="c", image="i", ports=ports)])


ITEMS = [KeyToPath(key=f"k{n}", path="p") for n in range(1500)]
MANY: dict[str, PodSpec] = {
    "ports": with_ports([ContainerPort(containerPort=80, protocol="TCP") for _ in range(1500)]),
    "items": PodSpec(volumes=[Volume(name="v", configMap=ConfigMapVolumeSource(name="c", items=ITEMS))]),
    "sources": PodSpec(
        volumes=[Volume(name="v", projected=ProjectedVolumeSource(sources=[VolumeProjection(configMap=ConfigMapProjection(items=ITEMS))]))]
    ),
}


@pytest.mark.parametrize("what", MANY)
def test_no_more_than_is_shown(what: str) -> None:
    for warnings in (spec_warnings("spec", MANY[what]), template_warnings("spec.template", PodTemplateSpec(spec=MANY[what]))):
        assert len(warnings) <= MAX_WARNINGS / 40
        assert warnings


def test_long_names_are_not_repeated_whole() -> None:
    sources = [VolumeProjection(configMap=ConfigMapProjection(name=f"c{n}", items=ITEMS[:1])) for n in range(50)]
    spec = PodSpec(volumes=[Volume(name="v" * 100_000, projected=ProjectedVolumeSource(sources=sources))])
    assert sum(map(len, spec_warnings("spec", spec))) < 30 * MAX_WARNINGS


@given(st.lists(st.text("ab/", max_size=6), max_size=8))
def test_overlapping_paths_are_those_that_comparing_all_finds(paths: list[str]) -> None:
    expected = {
        (b, a)
        for (a, one), (b, other) in combinations(enumerate(paths), 2)
        if one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
    }
    pairs = overlapping(paths)
    assert set(pairs) == expected
    assert len(pairs) == len(expected)


class Counted(str):
    """A text that counts its comparisons."""

    compared = 0

    def startswith(self, *args: Any) -> bool:
        Counted.compared += 1
        return super().startswith(*args)


def test_paths_are_compared_with_their_neighbors() -> None:
    paths = [Counted(f"a{n}/b") for n in range(2000)]
    assert overlapping(paths) == []
    assert Counted.compared <= 2 * len(paths)
    assert len(overlapping(["a"] * 2000)) == MOST_OVERLAPS


_hosts = st.builds(
    ContainerPort,
    containerPort=st.just(80),
    protocol=st.just("TCP"),
    hostPort=st.sampled_from((0, 1, 2)),
    hostIP=st.sampled_from(("", "1.1.1.1", "2.2.2.2")),
)


@given(st.lists(_hosts, max_size=6))
def test_ports_clash_as_comparing_all_finds(ports: list[ContainerPort]) -> None:
    expected = []
    for (a, one), (b, other) in sorted(combinations(enumerate(ports), 2), key=lambda pair: (pair[1][0], pair[0][0])):
        if (one.hostIP, one.hostPort) == (other.hostIP, other.hostPort):
            kind = "duplicate"
        elif not one.hostPort or not other.hostPort:
            kind = "overlapping"
        elif one.hostPort == other.hostPort and bool(one.hostIP) != bool(other.hostIP):
            kind = "dangerously ambiguous"
        else:
            continue
        expected.append(f"spec.containers[0].ports[{b}]: {kind} port definition with spec.containers[0].ports[{a}]")
    assert [warning for warning in spec_warnings("spec", with_ports(ports)) if " definition with " in warning] == expected


def test_a_port_is_compared_with_those_that_it_can_clash_with() -> None:
    compared = 0

    class Port(ContainerPort):
        def __getattribute__(self, name: str) -> Any:
            nonlocal compared
            compared += name == "hostPort"
            return super().__getattribute__(name)

    ports: list[ContainerPort] = [Port(containerPort=80, protocol="TCP", hostPort=n + 1) for n in range(1000)]
    assert spec_warnings("spec", with_ports(ports)) == []
    assert compared < 20 * len(ports)


@given(st.lists(st.text("ab", max_size=600), max_size=60))
def test_a_sink_keeps_what_headers_show(texts: list[str]) -> None:
    assert warning_headers(_through_a_sink(texts)) == warning_headers(texts)


@pytest.mark.parametrize("texts", [["a" * 5000, "b"], ["a" * MAX_WARNINGS, "b"], [f"{n}" * 9 for n in range(900)], ["a"] * 9000 + ["b"]])
def test_a_sink_keeps_what_headers_show_of_many(texts: list[str]) -> None:
    assert warning_headers(_through_a_sink(texts)) == warning_headers(texts)
    assert sum(len(text[:MAX_WARNING]) for text in _through_a_sink(texts)) <= MAX_WARNINGS + MAX_WARNING


def _through_a_sink(texts: list[str]) -> list[str]:
    warnings = Warnings()
    with suppress(Full):
        warnings += texts
    return list(warnings)
