"""PodSecurity: demands of a namespace's labels on its pods (KEP-2579, "Pod Security Admission").

Pods that break the enforced standard are refused; templates of pods are only warned of, since their pods will be judged. No user, namespace
or runtime class is exempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from tiphys.api.apps import v1 as apps
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import FieldError, Invalid
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.podsecurity.evaluate import details, findings, reasons
from tiphys.api.podsecurity.policy import DEFAULT, Policy, Standard, policy_of
from tiphys.api.podsecurity.words import Finding
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation

PREFIX: Final = "pod-security.kubernetes.io/"
MAX_PODS: Final = 3000
"""Pods of a namespace that are looked at when its enforced standard changes."""
_POD_SUBRESOURCES: Final = frozenset(("", "ephemeralcontainers", "resize"))
_TEMPLATES: Final = frozenset(
    (
        *(core.ReplicationController, core.PodTemplate, apps.ReplicaSet, apps.Deployment, apps.StatefulSet, apps.DaemonSet),
        *(batch.Job, batch.CronJob),
    )
)


class PodSecurity(AdmissionPlugin):
    """See the module."""

    name = "PodSecurity"

    def __init__(self) -> None:
        self._policies: dict[str, tuple[core.Namespace, Policy, list[FieldError]]] = {}

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        if operation not in ("CREATE", "UPDATE"):
            return False
        if kind.type is core.Pod:
            return subresource in _POD_SUBRESOURCES
        return not subresource and (kind.type is core.Namespace or kind.type in _TEMPLATES)

    def validate(self, request: AdmissionRequest) -> None:
        obj = request.object
        if isinstance(obj, core.Namespace):
            self._namespace(request, obj)
            return
        policy, errors = self._policy(request)
        if policy is DEFAULT:
            return
        if errors:
            message = errors[0] if len(errors) == 1 else f"[{', '.join(map(str, errors))}]"
            request.annotations[f"{PREFIX}error"] = f"Failed to parse policy: {message}"
        if isinstance(obj, core.Pod):
            old = request.old_object
            if not isinstance(old, core.Pod) or _matters(obj, old):
                _judge(request, policy, obj.metadata, obj.spec, enforce=True)
        elif (template := _template(obj)) is not None:
            _judge(request, policy, template.metadata, template.spec, enforce=False)

    def _policy(self, request: AdmissionRequest) -> tuple[Policy, list[FieldError]]:
        """The policy of the request's namespace, read from its labels once per change of the namespace."""
        namespace = request.source.get(core.Namespace, "", request.namespace)
        if namespace is None:
            return DEFAULT, []
        known = self._policies.get(request.namespace)
        if known is None or known[0] is not namespace:
            known = self._policies[request.namespace] = (namespace, *policy_of(namespace.metadata.labels))
            if len(self._policies) > MAX_PODS:
                self._policies.clear()
        return known[1], known[2]

    @staticmethod
    def _namespace(request: AdmissionRequest, new: core.Namespace) -> None:
        """Invalid labels are refused; a new standard gives warnings about pods that it would refuse."""
        policy, errors = policy_of(new.metadata.labels)
        old = request.old_object
        before, known = policy_of(old.metadata.labels) if old is not None else (DEFAULT, [])
        if errors and errors != known:
            raise Invalid.object("Namespace", new.metadata.name, errors)
        enforce = policy.enforce
        if old is None or enforce == before.enforce or enforce.level == "privileged":
            return
        if enforce.minor != before.enforce.minor or enforce.strictness > before.enforce.strictness:
            pods = request.source.passing(core.Pod, new.metadata.name)
            request.warnings.extend(_existing(new.metadata.name, enforce, pods))


def _judge(request: AdmissionRequest, policy: Policy, meta: ObjectMeta, spec: core.PodSpec, *, enforce: bool) -> None:
    by_standard: dict[Standard, list[Finding]] = {}

    def look(standard: Standard) -> list[Finding]:
        if standard not in by_standard:
            by_standard[standard] = findings(standard, meta, spec)
        return by_standard[standard]

    if enforce:
        request.annotations[f"{PREFIX}enforce-policy"] = str(policy.enforce)
    if wrong := look(policy.audit):
        request.annotations[f"{PREFIX}audit-violations"] = f'would violate PodSecurity "{policy.audit}": {details(wrong)}'
    if enforce and (wrong := look(policy.enforce)):
        raise request.forbidden(f'violates PodSecurity "{policy.enforce}": {details(wrong)}')
    if wrong := look(policy.warn):
        request.warnings.append(f'would violate PodSecurity "{policy.warn}": {details(wrong)}')


def _matters(new: core.Pod, old: core.Pod) -> bool:
    """Return whether an update changes anything that a standard checks: in a pod, only images can change and containers be added."""
    for now, before in ((new.spec.containers, old.spec.containers), (new.spec.initContainers, old.spec.initContainers)):
        if [container.image for container in now] != [container.image for container in before]:
            return True
    images = {container.name: container.image for container in old.spec.ephemeralContainers}
    return any(images.get(container.name) != container.image for container in new.spec.ephemeralContainers)


def _template(obj: Any) -> core.PodTemplateSpec | None:
    if isinstance(obj, core.PodTemplate):
        return obj.template
    if isinstance(obj, batch.CronJob):
        return obj.spec.jobTemplate.spec.template
    template: core.PodTemplateSpec | None = obj.spec.template
    return template


def _existing(namespace: str, enforce: Standard, pods: Iterable[core.Pod]) -> Iterator[str]:
    """Warnings of pods that are there already: one for each combination of reasons."""
    ordered = _one_of_each_owner_first(pods)
    messages: dict[str, list[str]] = {}
    for pod in ordered[:MAX_PODS]:
        if wrong := findings(enforce, pod.metadata, pod.spec):
            messages.setdefault(reasons(wrong), []).append(pod.metadata.name)
    if len(ordered) > MAX_PODS:
        yield f"new PodSecurity enforce level only checked against the first {MAX_PODS} of {len(ordered)} existing pods"
    if messages:
        yield f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{enforce}"'
    warnings = []
    for reason, names in messages.items():
        others = len(names) - 1
        more = "" if not others else f" (and {others} other {'pod' if others == 1 else 'pods'})"
        warnings.append(f"{min(names)}{more}: {reason}")
    yield from sorted(warnings)


def _one_of_each_owner_first(pods: Iterable[core.Pod]) -> list[core.Pod]:
    first: list[core.Pod] = []
    rest: list[core.Pod] = []
    owners: set[str] = set()
    for pod in pods:
        owner = next((reference.uid for reference in pod.metadata.ownerReferences if reference.controller), "")
        (rest if owner and owner in owners else first).append(pod)
        owners.add(owner)
    return first + rest
