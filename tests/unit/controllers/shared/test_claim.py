"""Adoption and release of pods by a workload."""

from __future__ import annotations

from tests.unit.controllers.make import NOW, pod, replica_set
from tiphys.api.machinery.selectors import parse_labels
from tiphys.controllers.shared.claim import sort_out


def test_keeps_adopts_and_releases() -> None:
    owner = replica_set()
    mine, stray = pod("mine"), pod("stray", labels={"app": "other"})
    orphans = [pod("orphan"), pod("dying", deleting=True), pod("foreign", labels={"app": "other"})]
    claims = sort_out(owner, parse_labels("app=web"), [mine, stray], orphans)
    assert [[found.metadata.name for found in group] for group in claims] == [["mine"], ["orphan"], ["stray"]]
    owner.metadata.deletionTimestamp = NOW
    claims = sort_out(owner, parse_labels("app=web"), [mine, stray], orphans)
    assert [[found.metadata.name for found in group] for group in claims] == [["mine"], [], []]
