"""Every check of the Pod Security Standards, by level and version, in the API's words."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tiphys.api.core.v1 import Pod
from tiphys.api.podsecurity.evaluate import NEWEST, checks_of, details, findings, reasons
from tiphys.api.podsecurity.policy import LATEST, Standard, policy_of

PREFIX = "pod-security.kubernetes.io/"


def pod(spec: dict[str, Any] | None = None, annotations: dict[str, str] | None = None, **container: Any) -> Pod:
    """A pod of one container `c`."""
    document = {
        "metadata": {"name": "p", "annotations": annotations or {}},
        "spec": {"containers": [{"name": "c", "image": "x", **container}], **(spec or {})},
    }
    return msgspec.convert(document, Pod)


def context(**fields: Any) -> dict[str, Any]:
    return {"securityContext": fields}


GOOD: dict[str, Any] = {
    "allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


def said(level: str, obj: Pod, minor: int = LATEST) -> str:
    return details(findings(Standard(level, minor), obj.metadata, obj.spec))


@pytest.mark.parametrize(
    ("obj", "detail"),
    [
        (pod(), ""),
        (pod(context(appArmorProfile={"type": "Unconfined"}), **context(appArmorProfile={"type": "Unconfined"})), 'forbidden AppArmor profile (pod and container "c" must not set AppArmor profile type to "Unconfined")'),
        (pod(annotations={"container.apparmor.security.beta.kubernetes.io/c": "unconfined"}), 'forbidden AppArmor profile (annotation must not set AppArmor profile type to "container.apparmor.security.beta.kubernetes.io/c="unconfined"")'),
        (pod(annotations={"container.apparmor.security.beta.kubernetes.io/c": "localhost/x"}), ""),
        (pod(**context(capabilities={"add": ["CHOWN", "NET_RAW", "SYS_ADMIN"]})), 'non-default capabilities (container "c" must not include "NET_RAW", "SYS_ADMIN" in securityContext.capabilities.add)'),
        (pod({"hostNetwork": True, "hostIPC": True}), "host namespaces (hostNetwork=true, hostIPC=true)"),
        (pod({"volumes": [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "hostPath": {"path": "/"}}]}), 'hostPath volumes (volumes "a", "b")'),
        (pod(ports=[{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 8081}]), 'hostPort (container "c" uses hostPorts 80, 8081)'),
        (pod(livenessProbe={"httpGet": {"port": 80, "host": "1.2.3.4"}}), 'probe or lifecycle host (container "c" uses probe or lifecycle host "1.2.3.4")'),
        (pod(lifecycle={"preStop": {"tcpSocket": {"port": 80, "host": "b"}}, "postStart": {"httpGet": {"port": 80, "host": "a"}}}), 'probe or lifecycle host (container "c" uses probe or lifecycle hosts "a", "b")'),
        (pod(**context(privileged=True)), 'privileged (container "c" must not set securityContext.privileged=true)'),
        (pod(**context(procMount="Unmasked")), 'procMount (container "c" must not set securityContext.procMount to "Unmasked")'),
        (pod({"hostUsers": False}, **context(procMount="Unmasked")), ""),
        (pod(context(seLinuxOptions={"type": "spc_t", "user": "u"}), **context(seLinuxOptions={"role": "r"})), 'seLinuxOptions (pod and container "c" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set; role may not be set)'),
        (pod(context(seccompProfile={"type": "Unconfined"})), 'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")'),
        (pod(context(sysctls=[{"name": "kernel.msgmax", "value": "1"}, {"name": "net.ipv4.tcp_rmem", "value": "1"}])), "forbidden sysctls (kernel.msgmax)"),
        (pod(context(windowsOptions={"hostProcess": True}), **context(windowsOptions={"hostProcess": True})), 'hostProcess (pod and container "c" must not set securityContext.windowsOptions.hostProcess=true)'),
        (pod({"initContainers": [{"name": "i", **context(privileged=True)}], "ephemeralContainers": [{"name": "e", **context(privileged=True)}]}), 'privileged (containers "i", "e" must not set securityContext.privileged=true)'),
    ],
)  # fmt: skip
def test_baseline(obj: Pod, detail: str) -> None:
    assert said("baseline", obj) == detail
    assert said("privileged", obj) == ""


@pytest.mark.parametrize(
    ("obj", "detail"),
    [
        (pod(**context(**GOOD)), ""),
        (pod(context(runAsNonRoot=True, seccompProfile={"type": "Localhost"}), **context(allowPrivilegeEscalation=False, capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]})), ""),
        (pod(), 'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'),
        (pod(**context(**{**GOOD, "capabilities": {"drop": ["CHOWN"], "add": ["CHOWN"]}})), 'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]; container "c" must not include "CHOWN" in securityContext.capabilities.add)'),
        (pod({"volumes": [{"name": "a", "nfs": {"server": "s", "path": "/"}}, {"name": "b", "hostPath": {"path": "/"}}, {"name": "e", "emptyDir": {}}]}, **context(**GOOD)), 'restricted volume types (volumes "a", "b" use restricted volume types "hostPath", "nfs")'),
        (pod(context(runAsNonRoot=False), **context(**{**GOOD, "runAsNonRoot": False})), 'runAsNonRoot != true (pod and container "c" must not set securityContext.runAsNonRoot=false)'),
        (pod(context(runAsUser=0), **context(**{**GOOD, "runAsUser": 0})), 'runAsUser=0 (pod and container "c" must not set runAsUser=0)'),
        (pod(context(seccompProfile={"type": "Unconfined"}), **context(**GOOD)), 'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")'),
        (pod({"hostUsers": False}, **context(**{**GOOD, "procMount": "Unmasked", "runAsUser": 0, "runAsNonRoot": False})), 'procMount (container "c" must not set securityContext.procMount to "Unmasked")'),
        (pod({"hostPID": True}, **context(**GOOD)), "host namespaces (hostPID=true)"),
        (pod({"os": {"name": "windows"}, **context(runAsNonRoot=True)}), ""),
    ],
)  # fmt: skip
def test_restricted(obj: Pod, detail: str) -> None:
    assert said("restricted", obj) == detail


@pytest.mark.parametrize(
    ("level", "obj", "until", "since"),
    [
        ("baseline", pod(context(sysctls=[{"name": "net.ipv4.ip_local_reserved_ports", "value": "1"}])), 26, None),
        ("baseline", pod(context(sysctls=[{"name": "net.ipv4.tcp_fin_timeout", "value": "1"}])), 28, None),
        ("baseline", pod(context(sysctls=[{"name": "net.ipv4.tcp_wmem", "value": "1"}])), 31, None),
        ("baseline", pod(context(seLinuxOptions={"type": "container_engine_t"})), 30, None),
        ("baseline", pod({"hostUsers": False}, **context(procMount="Unmasked")), 34, None),
        ("baseline", pod(livenessProbe={"httpGet": {"port": 80, "host": "a"}}), None, 34),
        ("baseline", pod(context(seccompProfile={"type": "Unconfined"})), None, 19),
        ("baseline", pod(annotations={"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}), 18, None),
        ("restricted", pod(**context(**{**GOOD, "runAsUser": 0})), None, 23),
        ("restricted", pod(**context(**{**GOOD, "allowPrivilegeEscalation": True})), None, 8),
        ("restricted", pod(**context(**{**GOOD, "capabilities": None})), None, 22),
        ("restricted", pod({"os": {"name": "windows"}, **context(runAsNonRoot=True)}), 24, None),
        ("restricted", pod({"hostUsers": False}, **context(**{**GOOD, "runAsNonRoot": None})), 34, None),
    ],
)  # fmt: skip
def test_versions(level: str, obj: Pod, until: int | None, since: int | None) -> None:
    """Forbidden up to a version, or from one on."""
    last, first = (until, until + 1) if until is not None else ((since or 0), (since or 0) - 1)
    assert said(level, obj, last) != ""
    assert said(level, obj, first) == ""
    assert (said(level, obj) == "") == (until is not None)


def test_the_newest_version_stands_for_all_later_ones() -> None:
    assert NEWEST == 35
    for level in ("baseline", "restricted"):
        assert checks_of(Standard(level, 99)) == checks_of(Standard(level)) == checks_of(Standard(level, 36))
    assert len(checks_of(Standard("baseline"))) == 12
    assert len(checks_of(Standard("restricted"))) == 12 - 4 + 7


def test_reasons_alone() -> None:
    obj = pod({"hostPID": True}, **context(privileged=True))
    assert reasons(findings(Standard("baseline"), obj.metadata, obj.spec)) == "host namespaces, privileged"


@pytest.mark.parametrize(
    ("labels", "enforce", "audit", "warn"),
    [
        ({}, "privileged:latest", "privileged:latest", "privileged:latest"),
        ({"enforce": "baseline", "enforce-version": "v1.20"}, "baseline:v1.20", "privileged:latest", "baseline:v1.20"),
        ({"enforce": "baseline", "warn-version": "v1.30"}, "baseline:latest", "privileged:latest", "baseline:v1.30"),
        ({"enforce": "restricted", "warn": "privileged"}, "restricted:latest", "privileged:latest", "privileged:latest"),
        ({"audit": "restricted", "audit-version": "latest"}, "privileged:latest", "restricted:latest", "privileged:latest"),
        ({"enforce": "odd", "audit": "odd", "warn": "odd"}, "restricted:latest", "privileged:latest", "privileged:latest"),
    ],
)
def test_policies(labels: dict[str, str], enforce: str, audit: str, warn: str) -> None:
    policy, _ = policy_of({f"{PREFIX}{label}": value for label, value in labels.items()})
    assert tuple(map(str, policy)) == (enforce, audit, warn)


def test_rejects_invalid_labels() -> None:
    _, errors = policy_of({f"{PREFIX}enforce": "odd", f"{PREFIX}warn-version": "1.30"})
    assert [str(error) for error in errors] == [
        'metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "odd": must be one of privileged, baseline, restricted',
        'metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.30": must be "latest" or "v1.x"',
    ]
