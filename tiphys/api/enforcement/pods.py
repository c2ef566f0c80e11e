"""Pods: the spec itself, where it runs, its security."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.enforcement.entry import Section, dropped, enforced, warned
from tiphys.api.meta import v1 as meta

_NO_WINDOWS = "this cluster has no nodes with Windows, it has no effect"
_NO_SELINUX = "containers are not labeled for SELinux by this cluster, it has no effect"

SPEC = Section(
    title="Pods",
    kind="Pod",
    entries=(
        *enforced(
            core.PodSpec, "restartPolicy terminationGracePeriodSeconds activeDeadlineSeconds ephemeralContainers", "node.pod.plan",
        ),
        *enforced(core.PodSpec, "dnsPolicy hostname subdomain hostAliases hostnameOverride", "node.container.dns_config"),
        *enforced(core.PodSpec, "setHostnameAsFQDN", "node.container.config"),
        *enforced(core.PodSpec, "nodeSelector", "api.helpers.node_selector", "scheduler.filters.node_affinity", "node.pod.admission_rules"),
        *enforced(core.PodSpec, "serviceAccountName automountServiceAccountToken", "apiserver.admission.service_account"),
        *enforced(core.PodSpec, "serviceAccount", "api.core.pods.defaults", text="The old name of serviceAccountName."),
        *enforced(core.PodSpec, "nodeName", "scheduler.template", "node.kubelet"),
        *enforced(core.PodSpec, "schedulerName", "scheduler.template"),
        *enforced(core.PodSpec, "hostNetwork hostPID hostIPC shareProcessNamespace", "node.container.security"),
        *enforced(core.PodSpec, "hostUsers", "node.container.security", case="true"),
        *warned(
            core.PodSpec, "hostUsers", "the container runtime has no user namespaces, the pod will not start", {"hostUsers": False},
            case="false", when=lambda spec: spec.hostUsers is False,
        ),
        *enforced(core.PodSpec, "imagePullSecrets", "node.services"),
        *enforced(core.PodSpec, "priorityClassName priority", "apiserver.admission.priority"),
        *enforced(core.PodSpec, "preemptionPolicy", "apiserver.admission.priority", "scheduler.cycle"),
        *enforced(core.PodSpec, "runtimeClassName", "node.services", "apiserver.admission.runtime_class"),
        *enforced(core.PodSpec, "enableServiceLinks", "node.container.env"),
        *enforced(core.PodSpec, "overhead", "api.helpers.resources", "scheduler.resources", "node.container.config"),
        *enforced(core.PodSpec, "schedulingGates", "scheduler.queue"),
        *enforced(core.PodSpec, "resourceClaims", "node.dra.manager"),
        *dropped(core.PodSpec, "schedulingGroup", {"schedulingGroup": {"podGroupName": "g"}}),
        *enforced(core.PodDNSConfig, "nameservers searches options", "node.container.dns_config"),
        *enforced(core.PodReadinessGate, "conditionType", "node.pod.status"),
        *enforced(core.PodOS, "name", "node.pod.admission_rules"),
    ),
)  # fmt: skip

SECURITY = Section(
    title="Security contexts of pods and containers",
    kind="Pod",
    entries=(
        *enforced(core.PodSecurityContext, "runAsUser runAsGroup runAsNonRoot supplementalGroups", "node.container.security"),
        *enforced(core.PodSecurityContext, "fsGroup", "node.container.security", "node.volumes.manager"),
        *enforced(
            core.PodSecurityContext, "fsGroupChangePolicy", "node.volumes.mounter",
            text="Counts for volumes of claims and drivers; the node's own kinds of volumes always get the group.",
        ),
        *enforced(
            core.PodSecurityContext, "supplementalGroupsPolicy", "node.pod.admission_rules", "node.container.security",
            text="With containerd 2.0 and later; nodes with others reject pods with `Strict`.",
        ),
        *enforced(
            core.PodSecurityContext, "sysctls", "node.pod.admission_rules", "node.container.config",
            text="The node rejects pods with unsafe ones that it was not told to allow.",
        ),
        *enforced(core.PodSecurityContext, "seccompProfile appArmorProfile", "node.container.security"),
        *warned(
            core.PodSecurityContext, "seLinuxOptions", _NO_SELINUX, {"securityContext": {"seLinuxOptions": {"level": "s0:c1,c2"}}},
        ),
        *warned(
            core.PodSecurityContext, "seLinuxChangePolicy", _NO_SELINUX, {"securityContext": {"seLinuxChangePolicy": "Recursive"}},
        ),
        *warned(
            core.PodSecurityContext, "windowsOptions", _NO_WINDOWS, {"securityContext": {"windowsOptions": {"runAsUserName": "x"}}},
        ),
        *enforced(
            core.SecurityContext,
            "capabilities privileged runAsUser runAsGroup runAsNonRoot readOnlyRootFilesystem allowPrivilegeEscalation procMount"
            " seccompProfile",
            "node.container.security",
        ),
        *enforced(
            core.SecurityContext, "appArmorProfile", "node.container.security", "node.pod.admission_rules",
            text="The node rejects pods with a profile where the kernel has no AppArmor.",
        ),
        *enforced(
            core.Pod, "metadata.annotations", "api.core.pods.annotation_rules", keys="container.apparmor.security.beta.kubernetes.io/*",
            text="Sets appArmorProfile of the container where that is not set.",
        ),
        *warned(
            core.SecurityContext, "seLinuxOptions", _NO_SELINUX,
            {"containers": [{"securityContext": {"seLinuxOptions": {"level": "s0:c1,c2"}}}]},
        ),
        *warned(
            core.SecurityContext, "windowsOptions", _NO_WINDOWS,
            {"containers": [{"securityContext": {"windowsOptions": {"runAsUserName": "x"}}}]},
        ),
    ),
)  # fmt: skip

SCHEDULING = Section(
    title="Where pods run",
    kind="Pod",
    entries=(
        *enforced(
            core.NodeAffinity, "requiredDuringSchedulingIgnoredDuringExecution", "api.helpers.node_selector", "node.pod.admission_rules",
        ),
        *enforced(core.NodeAffinity, "preferredDuringSchedulingIgnoredDuringExecution", "scheduler.template"),
        *enforced(core.PodAffinity, "requiredDuringSchedulingIgnoredDuringExecution", "scheduler.social"),
        *enforced(core.PodAffinity, "preferredDuringSchedulingIgnoredDuringExecution", "scheduler.social"),
        *enforced(core.PodAntiAffinity, "requiredDuringSchedulingIgnoredDuringExecution", "scheduler.social"),
        *enforced(core.PodAntiAffinity, "preferredDuringSchedulingIgnoredDuringExecution", "scheduler.social"),
        *enforced(core.PodAffinityTerm, "labelSelector namespaces topologyKey namespaceSelector", "scheduler.social"),
        *enforced(core.PodAffinityTerm, "matchLabelKeys mismatchLabelKeys", "scheduler.social"),
        *enforced(core.Toleration, "key operator value effect", "api.helpers.taints"),
        *enforced(core.Toleration, "tolerationSeconds", "controllers.taints.plan"),
        *enforced(
            core.TopologySpreadConstraint,
            "maxSkew topologyKey whenUnsatisfiable labelSelector minDomains nodeAffinityPolicy nodeTaintsPolicy matchLabelKeys",
            "scheduler.social",
        ),
        *enforced(meta.LabelSelector, "matchLabels matchExpressions", "api.machinery.selectors"),
    ),
)  # fmt: skip
