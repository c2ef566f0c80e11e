"""The roles and bindings that every cluster starts with, as data ("Default roles and role bindings"). Those of controllers are in
`controller_roles`.

A rule is a line `verbs | groups | resources [| names]`, with "core" for the core group; `read`, `write` and `all` stand for the usual
verbs.
A path rule is `verbs || paths`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiphys.api.well_known import LOCAL_PATH_USERS
from tiphys.apiserver.auth.controller_roles import RUN_AS_MANAGER

VERBS: Final[Mapping[str, str]] = {
    "read": "get list watch",
    "write": "create update patch delete deletecollection",
    "all": "get list watch create update patch delete deletecollection",
}

EVENTS: Final = "create update patch | core events.k8s.io | events"

_VIEW = """
read | core | pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status endpoints
read | core | persistentvolumeclaims persistentvolumeclaims/status configmaps
read | core | limitranges resourcequotas bindings pods/status resourcequotas/status namespaces/status replicationcontrollers/status pods/log
read | core | namespaces
read | core events.k8s.io | events
read | discovery.k8s.io | endpointslices
read | apps | controllerrevisions statefulsets statefulsets/status statefulsets/scale daemonsets daemonsets/status
read | apps | deployments deployments/status deployments/scale replicasets replicasets/status replicasets/scale
read | autoscaling | horizontalpodautoscalers horizontalpodautoscalers/status
read | batch | jobs cronjobs cronjobs/status jobs/status
read | policy | poddisruptionbudgets poddisruptionbudgets/status
read | networking.k8s.io | networkpolicies ingresses ingresses/status
read | resource.k8s.io | resourceclaims resourceclaims/status resourceclaimtemplates
"""

_EDIT = """
read | core | pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy
impersonate | core | serviceaccounts
write | core | pods pods/attach pods/proxy pods/exec pods/portforward
create | core | pods/eviction serviceaccounts/token
write | core | replicationcontrollers replicationcontrollers/scale serviceaccounts services services/proxy
write | core | persistentvolumeclaims configmaps secrets
write | core events.k8s.io | events
write | apps | statefulsets statefulsets/scale daemonsets deployments deployments/scale deployments/rollback replicasets replicasets/scale
write | autoscaling | horizontalpodautoscalers
write | batch | jobs cronjobs
write | policy | poddisruptionbudgets
write | networking.k8s.io | networkpolicies ingresses
all | coordination.k8s.io | leases
write | resource.k8s.io | resourceclaims resourceclaimtemplates
"""

_ADMIN = """
create | authorization.k8s.io | localsubjectaccessreviews
all | rbac.authorization.k8s.io | roles rolebindings
"""

NODE: Final = f"""
create | authentication.k8s.io | tokenreviews
create | authorization.k8s.io | subjectaccessreviews localsubjectaccessreviews
read | core | services
create get list watch update patch | core | nodes
update patch | core | nodes/status
{EVENTS}
read | core | pods
create delete | core | pods
update patch | core | pods/status
create | core | pods/eviction
read | core | secrets configmaps
get | core | persistentvolumeclaims persistentvolumes
get | core | endpoints serviceaccounts
create get list watch | certificates.k8s.io | certificatesigningrequests
get create update patch delete | coordination.k8s.io | leases
get | storage.k8s.io | volumeattachments
create | core | serviceaccounts/token
get update patch | core | persistentvolumeclaims/status
read | storage.k8s.io | csidrivers
get create update patch delete | storage.k8s.io | csinodes
read | node.k8s.io | runtimeclasses
get | resource.k8s.io | resourceclaims
deletecollection | resource.k8s.io | resourceslices
"""

# The service proxy, the DNS server and the routes to other nodes run in the node process, with the node's identity.
_NODE_NETWORK = """
read | core | services endpoints namespaces nodes
read | discovery.k8s.io | endpointslices
read | networking.k8s.io | networkpolicies servicecidrs
"""

# The provisioner of local volumes in the node process. It reads no secrets: its classes have no use for any.
_LOCAL_PATH = f"""
get list watch create patch delete | core | persistentvolumes
get list watch patch | core | persistentvolumeclaims
patch | core | persistentvolumeclaims/status
get | core | nodes
read | storage.k8s.io | storageclasses
get | storage.k8s.io | csinodes volumeattributesclasses
{EVENTS}
"""

_SCHEDULER = f"""
{EVENTS}
create | coordination.k8s.io | leases
get update list watch | coordination.k8s.io | leases | kube-scheduler
all | coordination.k8s.io | leasecandidates
read | core | nodes namespaces services replicationcontrollers persistentvolumeclaims persistentvolumes
get list watch delete | core | pods
create | core | pods/binding bindings
patch update | core | pods/status
read | apps | replicasets statefulsets
read | policy | poddisruptionbudgets
read | storage.k8s.io | csinodes volumeattachments csidrivers csistoragecapacities storageclasses
read | scheduling.k8s.io | priorityclasses
create | authentication.k8s.io | tokenreviews
create | authorization.k8s.io | subjectaccessreviews
read | resource.k8s.io | deviceclasses resourceslices
get list watch update patch | resource.k8s.io | resourceclaims resourceclaims/status
create delete | resource.k8s.io | resourceclaims
patch update | resource.k8s.io | resourceclaims/binding
update | core | pods/finalizers
"""

_CONTROLLER_MANAGER = f"""
{EVENTS}
create | coordination.k8s.io | leases
get update | coordination.k8s.io | leases | kube-controller-manager
create | core | secrets serviceaccounts
delete | core | secrets
get | core | namespaces secrets serviceaccounts configmaps
update | core | secrets serviceaccounts
create | authentication.k8s.io | tokenreviews
create | authorization.k8s.io | subjectaccessreviews
list watch | * | *
create | core | serviceaccounts/token
"""

_HEALTH = "/livez /readyz /healthz /version /version/"

CLUSTER_ROLES: Final[Mapping[str, str]] = {
    "cluster-admin": "* | * | *\n* || *",
    "system:discovery": f"get || {_HEALTH} /openapi /openapi/* /api /api/* /apis /apis/*",
    "system:monitoring": (
        "get || /metrics /metrics/slis /livez /readyz /healthz /livez/* /readyz/* /healthz/* /flagz /statusz\nget | core | nodes/metrics"
    ),
    "system:basic-user": (
        "create | authorization.k8s.io | selfsubjectaccessreviews selfsubjectrulesreviews\n"
        "create | authentication.k8s.io | selfsubjectreviews"
    ),
    "system:public-info-viewer": f"get || {_HEALTH}",
    "system:aggregate-to-admin": _ADMIN,
    "system:aggregate-to-edit": _EDIT,
    "system:aggregate-to-view": _VIEW,
    "system:node": NODE,
    "tiphys:node-network": _NODE_NETWORK,
    "tiphys:local-path-provisioner": _LOCAL_PATH,
    "system:node-proxier": f"""
        list watch | core | services endpoints
        read | core | nodes
        list watch | networking.k8s.io | servicecidrs
        list watch | discovery.k8s.io | endpointslices
        {EVENTS}
    """,
    "system:node-bootstrapper": "create get list watch | certificates.k8s.io | certificatesigningrequests",
    "system:node-problem-detector": f"get | core | nodes\npatch | core | nodes/status\n{EVENTS}",
    "system:auth-delegator": "create | authentication.k8s.io | tokenreviews\ncreate | authorization.k8s.io | subjectaccessreviews",
    "system:kube-aggregator": "read | core | services endpoints",
    "system:kube-controller-manager": _CONTROLLER_MANAGER,
    "system:kube-scheduler": _SCHEDULER,
    "system:kube-dns": "list watch | core | endpoints services\nlist watch | discovery.k8s.io | endpointslices",
    "system:volume-scheduler": """
        get list watch update patch | core | persistentvolumes persistentvolumeclaims
        read | storage.k8s.io | storageclasses
    """,
    "system:persistent-volume-provisioner": f"""
        get list watch create delete | core | persistentvolumes
        get list watch update | core | persistentvolumeclaims
        read | storage.k8s.io | storageclasses
        watch | core | events
        {EVENTS}
    """,
    "system:aggregated-metrics-reader": "read | metrics.k8s.io | nodes pods",
    "system:heapster": "read | core | events pods nodes namespaces",
    "system:kubelet-api-admin": """
        read | core | nodes
        proxy | core | nodes
        * | core | nodes/proxy nodes/metrics nodes/stats nodes/log nodes/pods nodes/healthz nodes/configz
    """,
    "system:service-account-issuer-discovery": (
        "get || /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/"
    ),
    "system:certificates.k8s.io:certificatesigningrequests:nodeclient": (
        "create | certificates.k8s.io | certificatesigningrequests/nodeclient"
    ),
    "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient": (
        "create | certificates.k8s.io | certificatesigningrequests/selfnodeclient"
    ),
    "system:certificates.k8s.io:kube-apiserver-client-approver": (
        "approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client"
    ),
    "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver": (
        "approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet"
    ),
    "system:certificates.k8s.io:kubelet-serving-approver": "approve | certificates.k8s.io | signers | kubernetes.io/kubelet-serving",
    "system:certificates.k8s.io:legacy-unknown-approver": "approve | certificates.k8s.io | signers | kubernetes.io/legacy-unknown",
}

AGGREGATED: Final[Mapping[str, str]] = {"admin": "admin", "edit": "edit", "view": "view"}
"""Cluster roles that gather others, and the X of the label `rbac.authorization.k8s.io/aggregate-to-X` they gather by."""

AGGREGATE_TO: Final[Mapping[str, str]] = {
    "edit": "admin",
    "view": "edit",
    "system:aggregate-to-admin": "admin",
    "system:aggregate-to-edit": "edit",
    "system:aggregate-to-view": "view",
    "system:aggregated-metrics-reader": "view",
}
"""The label each role carries."""

CLUSTER_BINDINGS: Final[Mapping[str, tuple[str, str]]] = {
    "cluster-admin": ("cluster-admin", "Group system:masters"),
    "system:monitoring": ("system:monitoring", "Group system:monitoring"),
    "system:discovery": ("system:discovery", "Group system:authenticated"),
    "system:basic-user": ("system:basic-user", "Group system:authenticated"),
    "system:public-info-viewer": ("system:public-info-viewer", "Group system:authenticated, Group system:unauthenticated"),
    "system:node-proxier": ("system:node-proxier", "User system:kube-proxy"),
    "system:kube-controller-manager": ("system:kube-controller-manager", "User system:kube-controller-manager"),
    "system:kube-dns": ("system:kube-dns", "ServiceAccount kube-system/kube-dns"),
    "system:kube-scheduler": ("system:kube-scheduler", "User system:kube-scheduler"),
    "system:volume-scheduler": ("system:volume-scheduler", "User system:kube-scheduler"),
    # Nodes are served by the Node authorizer; the binding exists without subjects, as upstream has it.
    "system:node": ("system:node", ""),
    "tiphys:kubelet-api-admin": ("system:kubelet-api-admin", "User kube-apiserver-kubelet-client"),
    "tiphys:node-network": ("tiphys:node-network", "Group system:nodes"),
    # As kubeadm binds it: nodes get the successors of their client certificates without a person ("TLS bootstrapping").
    "tiphys:node-certificate-renewal": (
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        "Group system:nodes",
    ),
    "tiphys:local-path-provisioner": ("tiphys:local-path-provisioner", f"Group {LOCAL_PATH_USERS}"),
    "system:service-account-issuer-discovery": ("system:service-account-issuer-discovery", "Group system:serviceaccounts"),
    **{
        f"tiphys:controller-manager:{name}": (f"system:controller:{name}", "User system:kube-controller-manager") for name in RUN_AS_MANAGER
    },
}
"""Binding to (cluster role, subjects)."""

_LEADER = "get watch list create update | coordination.k8s.io | leases leasecandidates"

ROLES: Final[Mapping[tuple[str, str], str]] = {
    ("kube-system", "tiphys:local-path-provisioner"): """
        get list watch create update patch delete | storage.k8s.io | csistoragecapacities
        create | coordination.k8s.io | leases
        get update | coordination.k8s.io | leases | nfs-tiphys-io
    """,
    ("kube-system", "extension-apiserver-authentication-reader"): "read | core | configmaps | extension-apiserver-authentication",
    ("kube-system", "system::leader-locking-kube-controller-manager"): _LEADER,
    ("kube-system", "system::leader-locking-kube-scheduler"): _LEADER,
    ("kube-system", "system:controller:bootstrap-signer"): "read | core | secrets",
    ("kube-system", "system:controller:cloud-provider"): "create get list watch | core | configmaps",
    ("kube-system", "system:controller:token-cleaner"): f"get list watch delete | core | secrets\n{EVENTS}",
    ("kube-public", "system:controller:bootstrap-signer"): (
        f"read | core | configmaps\nupdate | core | configmaps | cluster-info\n{EVENTS}"
    ),
}  # fmt: skip

ROLE_BINDINGS: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("kube-system", "tiphys:local-path-provisioner"): ("tiphys:local-path-provisioner", f"Group {LOCAL_PATH_USERS}"),
    ("kube-system", "system::extension-apiserver-authentication-reader"): (
        "extension-apiserver-authentication-reader", "User system:kube-controller-manager, User system:kube-scheduler",
    ),
    ("kube-system", "system::leader-locking-kube-controller-manager"): (
        "system::leader-locking-kube-controller-manager",
        "User system:kube-controller-manager, ServiceAccount kube-system/kube-controller-manager",
    ),
    ("kube-system", "system::leader-locking-kube-scheduler"): (
        "system::leader-locking-kube-scheduler", "User system:kube-scheduler, ServiceAccount kube-system/kube-scheduler",
    ),
    ("kube-system", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer", "ServiceAccount kube-system/bootstrap-signer",
    ),
    ("kube-system", "system:controller:cloud-provider"): (
        "system:controller:cloud-provider", "ServiceAccount kube-system/cloud-provider",
    ),
    ("kube-system", "system:controller:token-cleaner"): (
        "system:controller:token-cleaner", "ServiceAccount kube-system/token-cleaner",
    ),
    ("kube-public", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer", "ServiceAccount kube-system/bootstrap-signer",
    ),
}  # fmt: skip
