"""The status of a node."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.unit.node.make import MOMENT
from tiphys.api.core import v1 as core
from tiphys.node.host.status import NodeFacts, node_status, same, status_patch


def facts(**more: Any) -> NodeFacts:
    known = {"name": "n", "addresses": ["192.0.2.1"], "port": 10250, "capacity": {"cpu": "2"}, "allocatable": {"cpu": "1"}}
    return NodeFacts(**{"info": core.NodeSystemInfo(), **known, **more})


def test_node_status() -> None:
    first = node_status(core.NodeStatus(), facts(not_ready=["no network"]), MOMENT)
    ready = first.conditions[-1]
    assert (ready.type, ready.status, ready.message) == ("Ready", "False", "no network")
    later = node_status(first, facts(pressures=["DiskPressure"]), MOMENT + timedelta(seconds=9))
    by_type = {condition.type: condition for condition in later.conditions}
    assert (by_type["Ready"].status, by_type["DiskPressure"].status) == ("True", "True")
    assert by_type["Ready"].lastTransitionTime == MOMENT + timedelta(seconds=9)
    assert by_type["MemoryPressure"].lastTransitionTime == MOMENT
    assert [(one.type, one.address) for one in later.addresses] == [("InternalIP", "192.0.2.1"), ("Hostname", "n")]
    assert later.features == core.NodeFeatures(supplementalGroupsPolicy=False)
    again = node_status(later, facts(pressures=["DiskPressure"]), MOMENT + timedelta(seconds=30))
    assert same(again, later)
    assert not same(first, later)
    used = node_status(later, facts(volumes_in_use=["a/b^c"]), MOMENT)
    assert not same(used, later)
    assert node_status(used, facts(), MOMENT).volumesInUse == ["a/b^c"], "unless it is known, what was written stays"
    none = node_status(used, facts(volumes_in_use=[]), MOMENT)
    assert status_patch(none)["status"]["volumesInUse"] == [], "an absent list would leave the old one"
    assert status_patch(later)["status"]["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 10250}}


def test_several_reasons_are_listed_once_each() -> None:
    status = node_status(core.NodeStatus(), facts(not_ready=["a", "b", "a"]), MOMENT)
    assert status.conditions[-1].message == "[a, b]"


def test_a_problem_is_shown_from_its_first_time_on() -> None:
    fine = node_status(core.NodeStatus(), facts(), MOMENT)
    assert [condition.type for condition in fine.conditions] == ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"]
    off = node_status(fine, facts(problems={"ClockSkew": "an hour off", "ReadonlyFilesystem": ""}), MOMENT)
    after = node_status(off, facts(), MOMENT)
    shown = [{one.type: (one.status, one.reason) for one in status.conditions}.get("ClockSkew") for status in (off, after)]
    assert shown == [("True", "ClockIsOff"), ("False", "ClockIsInStep")]
    assert after.conditions[-1].type == "Ready"
