"""Choice of the controllers to run."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tiphys.controllers.registry import LOOPS, all_controllers
from tiphys.controllers.selection import ELSEWHERE, UPSTREAM, UnknownControllers, chosen
from tiphys.controllers.settings import ControllerSettings

DATA = Path(__file__).parents[2] / "data"
CONTROLLERS = all_controllers(ControllerSettings())
ALL = {one.declaration.name for one in CONTROLLERS}


def names(*choice: str) -> set[str]:
    return {one.declaration.name for one in chosen(choice, CONTROLLERS)}


def test_all_some_and_all_but_some() -> None:
    assert names("*") == ALL
    assert names("deployment", "replicaset-controller") == {"deployment", "replicaset"}
    assert names("*", "-deployment") == ALL - {"deployment"}
    assert names("*", "-cronjob", "cronjob") == ALL - {"cronjob"}, "the first name that concerns a controller decides"
    assert names() == set()


def test_parts_of_a_loop_go_with_it() -> None:
    assert names("*", "-job-controller", "-disruption") == ALL - {"job", "job-orphan-pods", "disruption", "stale-disruption"}
    assert names("job", "-job-orphan-pods") == {"job"}
    assert not {"resourceclaim-controller", "resourceclaim-release"} & names("*", "-resourceclaim")


@pytest.mark.parametrize(
    ("upstream", "here"),
    [
        ("endpoint", "endpoints"),
        ("endpointslice-controller", "endpoints"),
        ("replicationcontroller-controller", "replication"),
        ("horizontalpodautoscaling", "horizontal-pod-autoscaler"),
        ("pvc-protection", "persistentvolumeclaim-protection-controller"),
        ("nodelifecycle", "node"),
        ("node-lifecycle-controller", "node"),
        ("garbagecollector", "garbage-collector-controller"),
        ("legacy-service-account-token-cleaner", "legacy-serviceaccount-token-cleaner-controller"),
    ],
)
def test_names_of_upstream(upstream: str, here: str) -> None:
    assert here in names(upstream)
    assert here not in names("*", f"-{upstream}")


def test_every_name_of_upstream_is_known() -> None:
    """The table has the names and aliases of kube-controller-manager 1.36."""
    for name in (DATA / "controllers-1.36.tsv").read_text().split():
        names("*", name)
        names("*", f"-{name}")


def test_absent_loops_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert names("*", "bootstrapsigner", "-tokencleaner") == ALL
    assert [record.__dict__["controllers"] for record in caplog.records] == ["bootstrapsigner"]


def test_tables_say_nothing_of_loops_under_their_own_names() -> None:
    short = {loop.declaration.name.removesuffix("-controller") for loop in LOOPS}
    assert not short & ELSEWHERE
    assert not short & UPSTREAM.keys()
    assert set(UPSTREAM.values()) <= short | ELSEWHERE


def test_unknown_names_are_all_told() -> None:
    with pytest.raises(UnknownControllers, match=r"unknown odd, strange; known are .*cronjob"):
        chosen(["*", "odd", "-strange"], ())
