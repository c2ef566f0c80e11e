"""Pods and observations for the tests of the kubelet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.container.config import hashes, spec_hash
from tiphys.node.pod.backoff import Backoff, backoff_key
from tiphys.node.pod.observed import Observed, SeenContainer, SeenSandbox, State, ordered
from tiphys.node.pod.plan import Plan, Verdicts, find_container, plan_pod

NOW = 1_000_000.0
MOMENT = datetime.fromtimestamp(NOW, UTC)


def pod(*containers: dict[str, Any], **spec: Any) -> core.Pod:
    """A pod called default/web with these containers (at least {"name": ...}) and anything else in its spec."""
    meta = {"name": "web", "namespace": "default", "uid": "u1", "generation": 1, **spec.pop("metadata", {})}
    status = spec.pop("status", {})
    listed = [{"image": "img:1", **container} for container in (containers or ({"name": "main"},))]
    inits = [{"image": "img:1", **container} for container in spec.pop("initContainers", [])]
    body = {
        "metadata": meta,
        "spec": {"restartPolicy": "Always", "nodeName": "n1", **spec, "containers": listed, "initContainers": inits},
        "status": status,
    }
    return msgspec.convert(body, core.Pod)


def box(attempt: int = 0, *, ready: bool = True, ips: tuple[str, ...] = ("10.42.0.5",)) -> SeenSandbox:
    return SeenSandbox(f"box{attempt}", attempt, ready, NOW - 1000, ips)


def seen(
    of: core.Pod,
    name: str,
    state: State = "running",
    *,
    code: int = 0,
    attempt: int = 0,
    sandbox: str = "box0",
    ago: float = 1.0,
    lived: float = 1.0,
    **more: Any,
) -> SeenContainer:
    """A container that ended (or, while it runs, started) `ago` seconds before NOW after a life of `lived` seconds."""
    container = find_container(of, name)
    dead = state in ("exited", "unknown")
    started = NOW - ago - (lived if dead else 0)
    return SeenContainer(
        id=f"{name}-{attempt}",
        name=name,
        attempt=attempt,
        state=state,
        sandbox=sandbox,
        created=started - 0.1,
        started=more.pop("started", 0.0 if state == "created" else started),
        finished=NOW - ago if dead else 0.0,
        exit_code=code,
        image=container.image if container else "",
        image_ref="sha256:abc",
        hash=more.pop("hash", spec_hash(container) if container else ""),
        **more,
    )


def observed(*containers: SeenContainer, boxes: tuple[SeenSandbox, ...] = (box(),)) -> Observed:
    return ordered("u1", "default", "web", list(boxes), list(containers))


def plan(
    of: core.Pod,
    what: Observed,
    *,
    verdicts: dict[str, Verdicts] | None = None,
    backoffs: dict[str, Backoff] | None = None,
    now: float = NOW,
) -> Plan:
    """The plan for a pod; `backoffs` is by container name."""
    keyed = {backoff_key(one): value for name, value in (backoffs or {}).items() if (one := find_container(of, name)) is not None}
    return plan_pod(of, what, hashes=hashes(of), verdicts=verdicts or {}, backoffs=keyed, now=now)
