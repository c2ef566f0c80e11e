"""The roles of controllers that every cluster starts with, as data in the notation of `policy` ("Default roles and role bindings")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CONTROLLERS: Final[Mapping[str, str]] = {
    "attachdetach-controller": """
        list watch | core | persistentvolumes persistentvolumeclaims pods
        read | core | nodes
        patch update | core | nodes/status
        get list watch create delete | storage.k8s.io | volumeattachments
        read | storage.k8s.io | csidrivers csinodes
    """,
    "certificate-controller": """
        get list watch delete | certificates.k8s.io | certificatesigningrequests
        update | certificates.k8s.io | certificatesigningrequests/status certificatesigningrequests/approval
        approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet
        sign | certificates.k8s.io | signers | kubernetes.io/legacy-unknown kubernetes.io/kube-apiserver-client
        sign | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving
        create | authorization.k8s.io | subjectaccessreviews
    """,
    "clusterrole-aggregation-controller": "escalate get list watch update patch | rbac.authorization.k8s.io | clusterroles",
    "cronjob-controller": """
        get list watch update | batch | cronjobs
        get list watch create update delete patch | batch | jobs
        update | batch | cronjobs/status cronjobs/finalizers
        list watch delete | core | pods
    """,
    "daemon-set-controller": """
        read | apps | daemonsets
        update | apps | daemonsets/status daemonsets/finalizers
        list watch | core | nodes
        list watch create delete patch | core | pods
        create | core | pods/binding
        get list watch create delete update patch | apps | controllerrevisions
    """,
    "deployment-controller": """
        get list watch update | apps | deployments
        update | apps | deployments/status deployments/finalizers
        get list watch create update patch delete | apps | replicasets
        get list watch update | core | pods
    """,
    "device-taint-eviction-controller": """
        get list watch delete | core | pods
        patch update | core | pods/status
        read | resource.k8s.io | resourceclaims resourceslices deviceclasses
    """,
    "disruption-controller": """
        read | apps | deployments replicasets statefulsets
        read | core | replicationcontrollers
        read | policy | poddisruptionbudgets
        update | policy | poddisruptionbudgets/status
        patch update | core | pods/status
        list watch | core | pods
        get | * | */scale
    """,
    "endpoint-controller": """
        read | core | services pods
        get list watch create update delete | core | endpoints
        create | core | endpoints/restricted
    """,
    "endpointslice-controller": """
        read | core | services pods nodes
        update | core | services/finalizers
        get list watch create update delete | discovery.k8s.io | endpointslices
        create | discovery.k8s.io | endpointslices/restricted
    """,
    "endpointslicemirroring-controller": """
        read | core | services endpoints
        update | core | services/finalizers endpoints/finalizers
        get list watch create update delete | discovery.k8s.io | endpointslices
        create | discovery.k8s.io | endpointslices/restricted
    """,
    "ephemeral-volume-controller": """
        read | core | pods
        update | core | pods/finalizers
        get list watch create | core | persistentvolumeclaims
    """,
    "expand-controller": """
        get list watch update patch | core | persistentvolumes
        update patch | core | persistentvolumeclaims/status
        read | core | persistentvolumeclaims
    """,
    "generic-garbage-collector": "get list watch patch update delete | * | *",
    "horizontal-pod-autoscaler": """
        read | autoscaling | horizontalpodautoscalers
        update | autoscaling | horizontalpodautoscalers/status
        get update | * | */scale
        list watch | core | pods
        list watch | metrics.k8s.io | pods
        read | custom.metrics.k8s.io external.metrics.k8s.io | *
    """,
    "job-controller": """
        get list watch update patch | batch | jobs
        update | batch | jobs/status jobs/finalizers
        list watch create delete patch | core | pods
    """,
    "legacy-service-account-token-cleaner": """
        get | core | configmaps | kube-apiserver-legacy-service-account-token-tracking
        delete patch | core | secrets
    """,
    "namespace-controller": """
        get list watch delete | core | namespaces
        update | core | namespaces/finalize namespaces/status
        get list watch delete deletecollection | * | *
    """,
    "node-controller": """
        get list watch update delete patch | core | nodes
        patch update | core | nodes/status
        patch update | core | pods/status
        list watch get delete | core | pods
        read | coordination.k8s.io | leases
    """,
    "persistent-volume-binder": """
        get list watch update create delete | core | persistentvolumes
        update | core | persistentvolumes/status persistentvolumeclaims/status
        get list watch update | core | persistentvolumeclaims
        list watch get create delete | core | pods
        read | storage.k8s.io | storageclasses
        list watch | core | nodes
        watch | core | events
    """,
    "pod-garbage-collector": "list watch delete | core | pods\nread | core | nodes\npatch | core | pods/status",
    "pv-protection-controller": "get list watch update | core | persistentvolumes",
    "pvc-protection-controller": """
        get list watch update | core | persistentvolumeclaims
        update | core | persistentvolumeclaims/status
        read | core | pods
    """,
    "replicaset-controller": """
        get list watch update | apps | replicasets
        update | apps | replicasets/status replicasets/finalizers
        list watch patch create delete | core | pods
    """,
    "replication-controller": """
        get list watch update | core | replicationcontrollers
        update | core | replicationcontrollers/status replicationcontrollers/finalizers
        list watch patch create delete | core | pods
    """,
    "resource-claim-controller": """
        read | core | pods
        update | core | pods/finalizers
        patch update | core | pods/status
        get list watch create delete | resource.k8s.io | resourceclaims
        patch update | resource.k8s.io | resourceclaims resourceclaims/status resourceclaims/binding
    """,
    "resourcequota-controller": "list watch | * | *\nupdate | core | resourcequotas/status",
    "root-ca-cert-publisher": "create update | core | configmaps\nlist watch | core | configmaps namespaces",
    "route-controller": "list watch | core | nodes\npatch | core | nodes/status",
    "selinux-warning-controller": """
        read | core | persistentvolumes persistentvolumeclaims pods
        read | storage.k8s.io | csidrivers
    """,
    "service-account-controller": "create | core | serviceaccounts\nlist watch | core | serviceaccounts namespaces",
    "service-cidrs-controller": """
        get list watch patch update | networking.k8s.io | servicecidrs
        patch update | networking.k8s.io | servicecidrs/finalizers servicecidrs/status
        read | networking.k8s.io | ipaddresses
    """,
    "service-controller": "read | core | services\npatch update | core | services/status\nlist watch | core | nodes",
    "statefulset-controller": """
        list watch get create delete update patch | core | pods
        read | apps | statefulsets
        update | apps | statefulsets/status statefulsets/finalizers
        get create delete update patch list watch | apps | controllerrevisions
        get create list watch update delete | core | persistentvolumeclaims
        update | core | pods/finalizers
    """,
    "ttl-after-finished-controller": "get list watch delete | batch | jobs",
    "ttl-controller": "update patch list watch | core | nodes",
    "validatingadmissionpolicy-status-controller": """
        read | admissionregistration.k8s.io | validatingadmissionpolicies
        get patch update | admissionregistration.k8s.io | validatingadmissionpolicies/status
    """,
    "volumeattributesclass-protection-controller": """
        read | core | persistentvolumeclaims persistentvolumes
        get list watch update | storage.k8s.io | volumeattributesclasses
    """,
}
"""Each becomes the role `system:controller:NAME`, bound to the service account NAME of kube-system, with the right to write events."""

RUN_AS_MANAGER: Final = (
    "attachdetach-controller",
    "certificate-controller",
    "clusterrole-aggregation-controller",
    "daemon-set-controller",
    "cronjob-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "legacy-service-account-token-cleaner",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resource-claim-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "service-account-controller",
    "service-cidrs-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
    "ttl-controller",
    "volumeattributesclass-protection-controller",
)
"""Controllers that run with the controller manager's own identity rather than with their service account."""
