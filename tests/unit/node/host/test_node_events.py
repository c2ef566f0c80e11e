"""Events of a node that follow from its statuses."""

from __future__ import annotations

from tests.unit.node.host.test_status import facts
from tests.unit.node.make import MOMENT
from tiphys.api.core import v1 as core
from tiphys.node.host.node_events import node_events
from tiphys.node.host.status import NodeFacts, node_status


def status(before: core.NodeStatus | None = None, of: NodeFacts | None = None) -> core.NodeStatus:
    return node_status(before or core.NodeStatus(), of or facts(), MOMENT)


def reasons(before: core.NodeStatus | None, after: core.NodeStatus) -> list[tuple[str, str, str]]:
    return [(event.type, event.reason, event.message) for event in node_events(before, after, "n")]


def test_a_node_that_registers_tells_of_its_pressures() -> None:
    assert reasons(None, status()) == [
        ("Normal", reason, f"Node n status is now: {reason}")
        for reason in ("NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID")
    ]


def test_changes_are_told_and_their_absence_is_not() -> None:
    fine = status()
    assert reasons(fine, status(fine)) == []
    full = status(fine, facts(pressures={"DiskPressure": "full"}, not_ready=["no network"]))
    assert [reason for _, reason, _ in reasons(fine, full)] == ["NodeHasDiskPressure", "NodeNotReady"]
    assert [reason for _, reason, _ in reasons(full, status(full))] == ["NodeHasNoDiskPressure", "NodeReady"]


def test_a_reboot_is_told_with_the_identity_of_the_boot() -> None:
    first = status(of=facts(info=core.NodeSystemInfo(bootID="one")))
    second = status(first, facts(info=core.NodeSystemInfo(bootID="two")))
    assert reasons(first, second) == [("Warning", "Rebooted", "Node n has been rebooted, boot id: two")]
    assert reasons(core.NodeStatus(), first)[0][1] != "Rebooted"


def test_problems_are_warnings_and_their_ends_are_not() -> None:
    fine = status()
    off = status(fine, facts(problems={"ClockSkew": "clock of the node is 60 s ahead of the API server's"}))
    assert reasons(fine, off) == [("Warning", "ClockIsOff", "clock of the node is 60 s ahead of the API server's")]
    assert reasons(off, status(off)) == [("Normal", "ClockIsInStep", "clock of the node agrees with the API server's")]
