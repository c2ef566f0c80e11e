"""Labels and annotations of a node that registers again."""

from __future__ import annotations

from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.well_known import ATTACHED_BY_CONTROLLER
from tiphys.node.host.register import missing_metadata

ATTACHED = {ATTACHED_BY_CONTROLLER: "true"}


def test_a_node_of_an_earlier_version_gets_what_it_lacks() -> None:
    meta = ObjectMeta(name="n", labels={"a": "1", "b": "2", "own": "x"}, annotations={"note": "y"})
    assert missing_metadata(meta, {"a": "1", "b": "3", "c": "4"}) == {"labels": {"b": "3", "c": "4"}, "annotations": ATTACHED}


def test_nothing_is_written_to_a_node_that_has_it_all() -> None:
    meta = ObjectMeta(name="n", labels={"a": "1"}, annotations={**ATTACHED, "note": "y"})
    assert missing_metadata(meta, {"a": "1"}) == {}
