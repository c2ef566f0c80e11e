"""Log lines for people and for machines."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tiphys.obs import metrics
from tiphys.obs.logging import configure, fields, get_logger
from tiphys.runtime import Key

log = get_logger("test.area")


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_text_lines_carry_fields() -> None:
    out = io.StringIO()
    configure(format="text", stream=out)
    with fields(controller="job"):
        log.info("pod evicted", extra={"pod": Key("default", "web"), "reason": "no room", "empty": ""})
    log.debug("not shown")
    line = out.getvalue().strip()
    assert line.startswith("I 20")
    assert line.endswith('test.area: pod evicted controller=job pod=default/web reason="no room" empty=""')


def test_json_lines_are_json_with_the_trace() -> None:
    out = io.StringIO()
    configure(format="json", level="debug", stream=out)
    with fields(request="r1"):
        try:
            raise ValueError("bug\nin two lines")
        except ValueError:
            log.exception("it failed", extra={"count": 3, "msg2": "x"})
    (line,) = out.getvalue().splitlines()
    said = json.loads(line)
    assert (said["level"], said["logger"], said["msg"], said["count"], said["request"]) == ("error", "test.area", "it failed", 3, "r1")
    assert "ValueError: bug" in said["trace"]


def test_metrics_are_made_when_touched() -> None:
    code = (
        "import sys; from tiphys.obs import metrics; from tiphys.runtime import workqueue;"
        "assert 'prometheus_client' not in sys.modules;"
        "workqueue.ADDS.labels('a').inc(); workqueue.ADDS.labels('a').inc();"
        "assert b'workqueue_adds_total{name=\"a\"} 2' in metrics.page(metrics.REGISTRY.lines())"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_children_are_remembered_and_can_be_forgotten() -> None:
    gauge = metrics.gauge("tiphys_test_things", "Things.", "name")
    assert gauge.labels("a") is gauge.labels("a")
    gauge.labels("a").set(5)
    assert b'tiphys_test_things{name="a"} 5' in metrics.page(metrics.REGISTRY.lines())
    gauge.forget("a")
    assert b"tiphys_test_things{" not in metrics.page(metrics.REGISTRY.lines())
