"""Series that dashboards and alerts select, on the pages of a kubelet that runs containers (tests/data/dashboards.tsv)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families as parsed

from tests.e2e.node.caller import Caller
from tests.e2e.node.cluster import Node
from tiphys.testing.eventually import eventually

ROWS = Path(__file__).parents[2] / "data" / "dashboards.tsv"


class Row(NamedTuple):
    """A family that somebody's dashboard reads; `needs` says without what a kubelet has no samples of it."""

    family: str
    page: str
    labels: str
    reader: str
    needs: str


def rows() -> list[Row]:
    return [Row(*line.split("\t")) for line in ROWS.read_text().splitlines()]


async def lacking(caller: Caller) -> set[str]:
    """The families that are absent, or whose samples lack labels."""
    absent = set()
    for page in dict.fromkeys(row.page for row in rows()):
        status, text = await caller.get(page)
        assert status == 200
        # The parser drops the ending of counters, and not all of upstream's have it.
        families = {name: one for one in parsed(text) for name in (one.name, f"{one.name}_total")}
        for row in (row for row in rows() if row.page == page):
            family = families.get(row.family)
            labels = set(filter(None, row.labels.split(",")))
            samples = family.samples if family is not None else []
            if any(not labels <= sample.labels.keys() for sample in samples):
                absent.add(f"{row.family}: labels")
            if not samples and not row.needs:
                absent.add(row.family)
    return absent


async def test_every_series_that_dashboards_select_is_there(served: tuple[Node, Caller]) -> None:
    node, caller = served
    limits = {"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}}
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    await node.run("web", {"command": ["sh", "-c", "echo line; exec sleep 1000"], "resources": limits, "livenessProbe": probe})
    await node.ready()

    async def complete() -> bool:
        assert await lacking(caller) == set()  # Some figures are measured in the background, after the first time they are asked for.
        return True

    await eventually(complete, interval=0.5)
    _, text = await caller.get("/stats/summary")
    for field in ("rootfs", "logs", "network", "process_stats", "ephemeral-storage", "imageFs", "systemContainers", "rlimit"):
        assert f'"{field}":' in text
