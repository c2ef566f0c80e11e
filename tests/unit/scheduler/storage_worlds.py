"""Strategies for storage in which claims find volumes on some nodes only, and for pods that use them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

from hypothesis import strategies as st

from tests.unit.scheduler.worlds import HOSTNAME, NODE_NAMES, ZONE, maybe
from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta
from tiphys.api.storage import v1 as storage

CLAIMS, VOLUMES, DRIVERS = ("c0", "c1", "c2"), ("v0", "v1", "v2", "v3"), ("d1.example.com", "d2.example.com")
MADE_CLAIMS = tuple(f"owner-{name}" for name in CLAIMS)
DELAYED, MANUAL, IMMEDIATE = "delayed", "manual", "immediate"
SIZES = ("1Gi", "2Gi", "5Gi")
BETA_ZONE = "failure-domain.beta.kubernetes.io/zone"
_numbers = count()

hosts = st.sampled_from(NODE_NAMES[:3]).map(lambda name: core.NodeSelectorRequirement(key=HOSTNAME, operator="In", values=[name]))
zones = st.sampled_from(("east", "west")).map(lambda zone: core.NodeSelectorRequirement(key=ZONE, operator="In", values=[zone]))
volume_terms = st.builds(
    core.NodeSelectorTerm,
    matchExpressions=st.lists(st.one_of(hosts, zones), max_size=2),
    matchFields=st.sampled_from(([], [], [core.NodeSelectorRequirement(key="metadata.name", operator="In", values=["n0"])])),
)
references = st.builds(
    core.ObjectReference, namespace=st.just("one"), name=st.sampled_from(CLAIMS), uid=st.sampled_from(("", "uid-c0", "uid-c1", "old"))
)


@st.composite
def volumes(draw: st.DrawFn, name: str = "") -> core.PersistentVolume:
    terms = draw(maybe(st.lists(volume_terms, min_size=1, max_size=2)))
    reference = draw(maybe(references))
    name = name or draw(st.sampled_from(VOLUMES))
    return core.PersistentVolume(
        metadata=meta.ObjectMeta(
            name=name,
            labels=draw(st.sampled_from(({}, {}, {"kind": "fast"}, {ZONE: "east"}, {BETA_ZONE: "east__west"}, {BETA_ZONE: "west"}))),
            deletionTimestamp=draw(st.sampled_from((None, None, None, datetime(2026, 1, 1, tzinfo=UTC)))),
        ),
        spec=core.PersistentVolumeSpec(
            capacity={"storage": draw(st.sampled_from(SIZES))},  # type: ignore[dict-item]
            accessModes=draw(st.sampled_from((["ReadWriteOnce"], ["ReadWriteOnce", "ReadWriteOncePod"]))),
            storageClassName=draw(st.sampled_from((DELAYED, MANUAL, MANUAL, IMMEDIATE))),
            claimRef=reference,
            nodeAffinity=core.VolumeNodeAffinity(required=core.NodeSelector(nodeSelectorTerms=terms)) if terms else None,
            csi=draw(maybe(st.builds(core.CSIPersistentVolumeSource, driver=st.sampled_from(DRIVERS), volumeHandle=st.just(name)))),
        ),
        status=core.PersistentVolumeStatus(phase=draw(st.sampled_from(("Available", "Available", "Released")))),
    )


@st.composite
def claims(draw: st.DrawFn, name: str = "", *, usable: bool = False) -> core.PersistentVolumeClaim:
    """Claims; usable ones are of classes that wait for a pod, or bound."""
    states = ("new", "new", "bound") if usable else ("new", "new", "new", "bound", "bound", "named", "lost", "going")
    full_name, state = name or draw(st.sampled_from((*CLAIMS, *MADE_CLAIMS))), draw(st.sampled_from(states))
    name = full_name.removeprefix("owner-")
    annotations: dict[str, str] = {}
    if state == "bound":
        annotations["pv.kubernetes.io/bind-completed"] = "yes"
    elif state == "new" and draw(st.sampled_from((True, False, False))):
        annotations["volume.kubernetes.io/selected-node"] = draw(st.sampled_from(NODE_NAMES[:3]))
    uid = draw(st.sampled_from(("owner", "owner", "owner", "other")))
    owner = meta.OwnerReference(apiVersion="v1", kind="Pod", name="p", uid=uid, controller=True)
    names = (DELAYED, DELAYED, MANUAL) if usable else (DELAYED, DELAYED, MANUAL, MANUAL, IMMEDIATE, "", "gone")
    return core.PersistentVolumeClaim(
        metadata=meta.ObjectMeta(
            name=full_name,
            namespace="one",
            uid=f"uid-{name}",
            annotations=annotations,
            ownerReferences=[owner],
            deletionTimestamp=datetime(2026, 1, 1, tzinfo=UTC) if state == "going" else None,
        ),
        spec=core.PersistentVolumeClaimSpec(
            accessModes=draw(st.sampled_from((["ReadWriteOnce"], ["ReadWriteOnce"], ["ReadWriteOncePod"]))),
            resources=core.VolumeResourceRequirements(requests={"storage": draw(st.sampled_from(SIZES))}),  # type: ignore[dict-item]
            storageClassName=draw(st.sampled_from(names)),
            selector=draw(st.sampled_from((None, None, None, meta.LabelSelector(matchLabels={"kind": "fast"})))),
            volumeName=draw(st.sampled_from(VOLUMES)) if state in ("bound", "named", "lost") else "",
        ),
        status=core.PersistentVolumeClaimStatus(phase="Lost" if state == "lost" else "Pending"),
    )


@st.composite
def classes(draw: st.DrawFn, name: str = "") -> storage.StorageClass:
    name = name or draw(st.sampled_from((DELAYED, MANUAL, IMMEDIATE)))
    term = st.sampled_from(("east", "west")).map(
        lambda zone: core.TopologySelectorTerm(
            matchLabelExpressions=[core.TopologySelectorLabelRequirement(key=ZONE, values=[zone])],
        )
    )
    return storage.StorageClass(
        metadata=meta.ObjectMeta(name=name),
        provisioner="kubernetes.io/no-provisioner" if name == MANUAL else draw(st.sampled_from(DRIVERS)),
        volumeBindingMode="Immediate" if name == IMMEDIATE else "WaitForFirstConsumer",
        allowedTopologies=draw(st.lists(term, max_size=1)),
    )


drivers = st.builds(
    storage.CSIDriver,
    metadata=st.builds(meta.ObjectMeta, name=st.sampled_from(DRIVERS)),
    spec=st.builds(storage.CSIDriverSpec, storageCapacity=st.sampled_from((None, False, True, True))),
)
limits = st.builds(
    storage.CSINodeDriver,
    name=st.sampled_from(DRIVERS),
    allocatable=maybe(st.builds(storage.VolumeNodeResources, count=st.sampled_from((0, 1, 1, 2)))),
)
csi_nodes = st.builds(
    storage.CSINode,
    metadata=st.builds(meta.ObjectMeta, name=st.sampled_from(NODE_NAMES[:3])),
    spec=st.builds(storage.CSINodeSpec, drivers=st.lists(limits, max_size=2, unique_by=lambda one: one.name)),
)
capacities = st.builds(
    storage.CSIStorageCapacity,
    metadata=st.builds(meta.ObjectMeta, name=st.sampled_from(("s0", "s1")), namespace=st.just("drivers")),
    storageClassName=st.just(DELAYED),
    nodeTopology=st.sampled_from(
        (
            None,
            meta.LabelSelector(),
            meta.LabelSelector(matchLabels={ZONE: "east"}),
            meta.LabelSelector(matchLabels={HOSTNAME: "n1"}),
            meta.LabelSelector(matchExpressions=[meta.LabelSelectorRequirement(key=ZONE, operator="NotIn", values=["east"])]),
        )
    ),
    capacity=st.sampled_from((None, "1Gi", "10Gi")),
    maximumVolumeSize=st.sampled_from((None, None, "2Gi")),
)
attachments = st.builds(
    lambda name, driver, volume, node: storage.VolumeAttachment(
        metadata=meta.ObjectMeta(name=name),
        spec=storage.VolumeAttachmentSpec(
            attacher=driver, nodeName=node, source=storage.VolumeAttachmentSource(persistentVolumeName=volume)
        ),
    ),
    st.sampled_from(("a0", "a1")),
    st.sampled_from(DRIVERS),
    st.sampled_from((*VOLUMES, None)),
    st.sampled_from(NODE_NAMES[:3]),
)


def _volume(name: str, **source: Any) -> core.Volume:
    return core.Volume(name=name, **source)


sources = st.one_of(
    st.sampled_from(CLAIMS).map(
        lambda claim: _volume(claim, persistentVolumeClaim=core.PersistentVolumeClaimVolumeSource(claimName=claim))
    ),
    st.sampled_from(CLAIMS).map(
        lambda claim: _volume(claim, persistentVolumeClaim=core.PersistentVolumeClaimVolumeSource(claimName=claim))
    ),
    st.sampled_from(CLAIMS).map(lambda claim: _volume(claim, ephemeral=core.EphemeralVolumeSource())),
    st.booleans().map(lambda only: _volume("gce", gcePersistentDisk=core.GCEPersistentDiskVolumeSource(pdName="disk", readOnly=only))),
    st.just(_volume("ebs", awsElasticBlockStore=core.AWSElasticBlockStoreVolumeSource(volumeID="disk"))),
    st.booleans().map(lambda only: _volume("iscsi", iscsi=core.ISCSIVolumeSource(iqn="disk", readOnly=only))),
    st.sampled_from((["m1"], ["m1", "m2"], ["m3"])).map(
        lambda monitors: _volume("rbd", rbd=core.RBDVolumeSource(monitors=monitors, image="disk", pool="rbd"))
    ),
)


@st.composite
def volume_pods(draw: st.DrawFn) -> core.Pod:
    """Pods that are difficult about volumes only. The one named `owner` has ephemeral claims that exist."""
    volumes = draw(st.lists(sources, min_size=1, max_size=3, unique_by=lambda one: one.name))
    makes = any(one.ephemeral is not None for one in volumes)
    name = "owner" if makes and draw(st.sampled_from((True, True, False))) else f"user-{next(_numbers)}"
    return core.Pod(
        metadata=meta.ObjectMeta(name=name, uid=name, namespace=draw(st.sampled_from(("one",) * 7 + ("two",)))),
        spec=core.PodSpec(
            containers=[core.Container(name="main", image="big")],
            volumes=volumes,
        ),
    )


Furniture = list[tuple[str, tuple[Any, ...]]]
"""Methods of `Both`, with arguments."""


@st.composite
def furniture(draw: st.DrawFn) -> Furniture:
    """Storage in which most claims of pods exist and can be used somewhere."""
    volume_names = draw(st.lists(st.sampled_from(VOLUMES), min_size=3, unique=True))
    return [
        *(("put_class", (draw(classes(name)),)) for name in (DELAYED, MANUAL, IMMEDIATE)),
        *(("put_claim", (draw(claims(name, usable=True)),)) for name in (*CLAIMS, *MADE_CLAIMS)),
        *(("put_volume", (draw(volumes(name)),)) for name in volume_names),
        *(("put_csi_node", (one,)) for one in draw(st.lists(csi_nodes, min_size=2, max_size=4))),
        *(("put_driver", (one,)) for one in draw(st.lists(drivers, max_size=2))),
        *(("put_pod", (draw(volume_pods()), name)) for name in draw(st.lists(st.sampled_from(NODE_NAMES[:3]), max_size=2))),
    ]


def changes() -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    """One change of storage."""

    def of(name: str, argument: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
        return st.tuples(st.just(name), st.tuples(argument))

    return st.one_of(
        of("put_claim", claims()),
        of("put_claim", claims()),
        of("put_claim", claims(usable=True)),
        of("put_volume", volumes()),
        of("put_volume", volumes()),
        of("put_class", classes()),
        of("put_driver", drivers),
        of("put_csi_node", csi_nodes),
        of("put_capacity", capacities),
        of("put_attachment", attachments),
        of("drop_claim", st.sampled_from((*CLAIMS, *MADE_CLAIMS))),
        of("drop_volume", st.sampled_from(VOLUMES)),
        of("drop_class", st.sampled_from((DELAYED, MANUAL))),
        of("drop_driver", st.sampled_from(DRIVERS)),
        of("drop_csi_node", st.sampled_from(NODE_NAMES[:3])),
        of("drop_attachment", st.sampled_from(("a0", "a1"))),
    )
