"""Properties and examples of the pure modules."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sidecar.driver import GI, NAME, VERBS, ScriptedDriver, facts
from tests.unit.sidecar.make import VOLUME, bound_claim, claim, storage_class, volume
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.csi import errors as csi
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.sidecar import access, secrets
from tiphys.sidecar.names import CLAIM_FINALIZER
from tiphys.sidecar.parts import parts
from tiphys.sidecar.provision import plan
from tiphys.sidecar.provision.volume import persistent_volume
from tiphys.sidecar.resize import plan as resize
from tiphys.sidecar.settings import ProvisionSettings, SidecarSettings
from tiphys.sidecar.topology import Place, Unreachable, affinity_of, is_reachable, message_of, requirement, segments_of, spread

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ZONE, RACK = "example.com/zone", "example.com/rack"
Mode = pb.VolumeCapability.AccessMode.Mode

places = st.lists(
    st.builds(
        lambda name, zone, rack: Place(name, (ZONE, RACK), {ZONE: zone, RACK: rack}),
        st.from_regex(r"n[0-9]{1,2}", fullmatch=True),
        st.sampled_from("abc"),
        st.sampled_from("xy"),
    ),
    min_size=1,
    unique_by=lambda place: place.node,
)


# -- topology


@given(places, st.booleans(), st.data())
def test_a_volume_for_a_node_may_be_where_the_node_can_reach_it(nodes: list[Place], strict: bool, data: st.DataObject) -> None:
    selected = data.draw(st.sampled_from(nodes))
    required = requirement(nodes, [], claim="data", selected=selected.node, strict=strict)
    assert required is not None
    assert dict(required.preferred[0].segments) == dict(selected.labels)
    assert sorted(map(str, required.preferred)) == sorted(map(str, required.requisite))
    assert len({str(one) for one in required.requisite}) == len(required.requisite)
    if strict:
        assert len(required.requisite) == 1
    affinity = affinity_of(required.preferred[:1])
    assert is_reachable(affinity, selected.labels)


@given(places, st.text("abc-19", max_size=5))
def test_claims_without_a_node_are_spread(nodes: list[Place], name: str) -> None:
    first, second = (requirement(nodes, [], claim=f"{name}-{ordinal}") for ordinal in (3, 4))
    assert first is not None
    assert second is not None
    count = len(first.requisite)
    assert list(second.preferred) == [first.preferred[(index + 1) % count] for index in range(count)]
    assert spread(f"{name}-4") == spread(f"{name}-3") + 1


def term(*zones: str) -> core.TopologySelectorTerm:
    return core.TopologySelectorTerm(matchLabelExpressions=[core.TopologySelectorLabelRequirement(key=ZONE, values=list(zones))])


def test_allowed_places_are_all_that_is_requested() -> None:
    nodes = [Place("n1", (ZONE,), {ZONE: "a"}), Place("n2", (ZONE,), {ZONE: "b"}), Place("n3", (ZONE,), {})]
    required = requirement(nodes, [term("b", "c")], claim="data", selected="n2")
    assert required is not None
    assert [one.segments[ZONE] for one in required.requisite] == ["b", "c"]
    with pytest.raises(Unreachable, match="not in allowed topology"):
        requirement(nodes, [term("b")], claim="data", selected="n1")
    with pytest.raises(Unreachable, match="lacks a label"):
        requirement(nodes, [], claim="data", selected="n3")
    with pytest.raises(Unreachable, match="no topology key found on CSINode n4"):
        requirement(nodes, [], claim="data", selected="n4")
    assert requirement(nodes, [], claim="data", immediate=False) is None
    assert requirement([], [], claim="data") is None


def test_terms_of_classes_are_alternatives() -> None:
    both = core.TopologySelectorTerm(
        matchLabelExpressions=[
            core.TopologySelectorLabelRequirement(key=ZONE, values=["a", "b"]),
            core.TopologySelectorLabelRequirement(key=RACK, values=["x"]),
        ]
    )
    assert segments_of([both, term("c")]) == [((RACK, "x"), (ZONE, "a")), ((RACK, "x"), (ZONE, "b")), ((ZONE, "c"),)]


@given(places, places)
def test_affinity_is_where_the_driver_said(of: list[Place], nodes: list[Place]) -> None:
    segments = {segment for place in of if (segment := place.segment()) is not None}
    affinity = affinity_of(message_of(one) for one in segments)
    for node in nodes:
        assert is_reachable(affinity, node.labels) == (node.segment() in segments)
    assert affinity_of([]) is None
    assert is_reachable(None, {})


# -- provisioning


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (claim(), "provision"),
        (claim(annotations={"volume.kubernetes.io/storage-provisioner": "other"}), "nothing"),
        (claim(volume="v"), "nothing"),
        (claim(volume=VOLUME, finalizers=[CLAIM_FINALIZER]), "settle"),
        (claim(volume="v", finalizers=[CLAIM_FINALIZER]), "abandon"),
    ],
)
def test_steps_of_claims(one: core.PersistentVolumeClaim, expected: str) -> None:
    assert plan.step(one, storage_class(), driver=NAME, volume=VOLUME) == expected


def test_steps_of_claims_that_are_deleted() -> None:
    gone = claim(finalizers=[CLAIM_FINALIZER])
    gone.metadata.deletionTimestamp = NOW
    assert plan.step(gone, None, driver=NAME, volume=VOLUME) == "abandon"
    gone.metadata.finalizers = []
    assert plan.step(gone, storage_class(), driver=NAME, volume=VOLUME) == "nothing"
    assert plan.step(claim(node="n1"), storage_class(late=True), driver=NAME, volume=VOLUME, node="n2") == "nothing"
    assert plan.step(claim(), None, driver=NAME, volume=VOLUME) == "nothing"
    assert plan.step(claim(), storage_class(), driver=NAME, volume=VOLUME, node="n2") == "volunteer"
    assert plan.step(claim(), storage_class(late=True), driver=NAME, volume=VOLUME, node="n2") == "nothing"


@pytest.mark.parametrize(
    ("error", "over", "elsewhere"),
    [
        (csi.Exhausted(""), True, True),
        (csi.InvalidArgument(""), True, True),
        (csi.Failed(""), True, False),
        (csi.Pending(""), False, False),
        (csi.Unavailable(""), False, False),
        (csi.Deadline(""), False, False),
    ],
)
def test_meaning_of_errors(error: csi.CsiError, over: bool, elsewhere: bool) -> None:
    assert (plan.is_over(error), plan.needs_other_node(error, claim(node="n1"))) == (over, elsewhere)
    assert not plan.needs_other_node(error, claim())


@given(st.integers(0, 4 * GI), st.integers(1, 3 * GI), st.one_of(st.just(0), st.integers(GI, 4 * GI)))
def test_sizes(given_bytes: int, required: int, limit: int) -> None:
    one = claim(size=str(required))
    if limit:
        one.spec.resources.limits = {"storage": Quantity(str(limit))}
    wrong = plan.shortfall(one, pb.Volume(capacity_bytes=given_bytes))
    assert bool(wrong) == bool(given_bytes and (given_bytes < required or (limit and given_bytes > limit)))


def test_requests_and_volumes() -> None:
    settings = ProvisionSettings(extra_create_metadata=True, default_fstype="ext4")
    one, class_ = claim(modes=("ReadWriteOnce", "ReadWriteMany")), storage_class(mountOptions=["noatime"])
    request = plan.request(one, class_, facts(), settings, plan.Extras())
    assert request.parameters == {
        "csi.storage.k8s.io/pvc/name": "data",
        "csi.storage.k8s.io/pvc/namespace": "default",
        "csi.storage.k8s.io/pv/name": VOLUME,
    }
    modes = [Mode.SINGLE_NODE_MULTI_WRITER, Mode.MULTI_NODE_MULTI_WRITER]
    assert [capability.access_mode.mode for capability in request.volume_capabilities] == modes
    assert request.volume_capabilities[0].mount.fs_type == "ext4"
    block = claim(volumeMode="Block")
    assert plan.request(block, class_, facts(), settings, plan.Extras()).volume_capabilities[0].WhichOneof("access_type") == "block"
    made = persistent_volume(block, class_, pb.Volume(volume_id="v", capacity_bytes=2 * GI), facts(), settings)
    assert made.spec.csi is not None
    assert (made.spec.csi.fsType, made.spec.mountOptions, made.spec.capacity) == ("", [], {"storage": "2Gi"})


# -- access modes


def test_access_modes_by_capability() -> None:
    fine, coarse = facts(), facts("SINGLE_NODE_MULTI_WRITER")
    assert access.modes(["ReadWriteOncePod", "ReadWriteOnce"], fine) == [Mode.SINGLE_NODE_SINGLE_WRITER, Mode.SINGLE_NODE_MULTI_WRITER]
    assert access.modes(["ReadWriteOncePod", "ReadWriteOnce"], coarse) == [Mode.SINGLE_NODE_WRITER] * 2
    assert access.combined(["ReadOnlyMany", "ReadWriteMany"], fine) == Mode.MULTI_NODE_MULTI_WRITER
    assert access.combined(["ReadOnlyMany"], fine) == Mode.MULTI_NODE_READER_ONLY
    with pytest.raises(access.Incompatible, match="ReadOnlyMany and ReadWriteOnce"):
        access.combined(["ReadOnlyMany", "ReadWriteOnce"], fine)
    with pytest.raises(access.Incompatible):
        access.combined([], fine)


# -- secrets

PREFIX = "csi.storage.k8s.io/provisioner-secret"


def reference(name: str, namespace: str, annotations: dict[str, str] | None = None) -> tuple[str, str] | None:
    parameters = {key: value for key, value in ((f"{PREFIX}-name", name), (f"{PREFIX}-namespace", namespace)) if value}
    found = secrets.reference(parameters, secrets.PROVISIONER, volume="pv", claim=claim(annotations=annotations))
    return None if found is None else (found.namespace, found.name)


def test_templates_of_secrets() -> None:
    assert reference("", "") is None
    assert reference("fixed", "kube-system") == ("kube-system", "fixed")
    assert reference("${pvc.name}-${pv.name}", "${pvc.namespace}") == ("default", "data-pv")
    assert reference("${pvc.annotations['team']}", "x", {"team": "red"}) == ("x", "red")


@pytest.mark.parametrize(
    ("name", "namespace"),
    [("a", ""), ("", "a"), ("${pvc.uid}", "a"), ("${pvc.annotations['none']}", "a"), ("a", "${pvc.name}"), ("A_b", "a"), ("a", "a.b")],
)
def test_bad_templates_of_secrets(name: str, namespace: str) -> None:
    with pytest.raises(secrets.BadParameters):
        reference(name, namespace)


def test_text_of_annotations_is_no_template() -> None:
    with pytest.raises(secrets.BadParameters, match="not a valid secret name"):
        reference("${pvc.annotations['team']}", "x", {"team": "${pvc.namespace}"})


# -- expansion

sizes = st.integers(1, 9)


@given(sizes, sizes, sizes, st.sampled_from(["", resize.IN_PROGRESS, resize.INFEASIBLE, *resize.OF_NODE]), sizes)
def test_expansions_end(desired: int, capacity: int, size: int, state: str, allocated: int) -> None:
    """In any state, doing what the plan says with a driver that succeeds leaves nothing to do, and shrinks nothing."""
    one = bound_claim(f"{desired}Gi", capacity=f"{capacity}Gi")
    there = volume(size=f"{size}Gi")
    if state:
        one.status.allocatedResourceStatuses = {"storage": state}
        one.status.allocatedResources = {"storage": Quantity(f"{allocated}Gi")}
    for _ in range(3):
        target = resize.target(one, there)
        if target is None:
            break
        given_size = max(target, resize.size_of(there))
        one.status = resize.finished(resize.started(one.status, target, NOW), given_size)
        there.spec.capacity = {"storage": resize.quantity(given_size)}
    assert resize.target(one, there) is None
    assert resize.size_of(there) >= size * GI


def test_an_error_keeps_its_time() -> None:
    first = resize.failed(bound_claim("2Gi").status, csi.Failed("a"), NOW)
    second = resize.failed(first, csi.Failed("a"), datetime(2027, 1, 1, tzinfo=UTC))
    assert second.conditions == first.conditions
    assert resize.failed(first, csi.OutOfRange("a"), NOW).allocatedResourceStatuses == {"storage": "ControllerResizeInfeasible"}


def test_a_volume_of_another_claim_is_left_alone() -> None:
    assert resize.is_bound(bound_claim(), volume(), NAME)
    assert not resize.is_bound(bound_claim(), volume(claim_uid="other"), NAME)
    assert not resize.is_bound(bound_claim(), volume(), "other")
    assert not resize.is_bound(bound_claim(), None, NAME)
    deleted = bound_claim()
    deleted.metadata = ObjectMeta(name="data", namespace="default", uid=deleted.metadata.uid, deletionTimestamp=NOW)
    assert not resize.is_bound(deleted, volume(), NAME)


def test_a_claim_does_not_choose_the_driver_of_its_class() -> None:
    """Its owner may write the annotation, and would get at the driver behind quotas, and at the secrets of the class."""
    other = msgspec.structs.replace(storage_class(), provisioner="other.example.com")
    for node in ("", "n1"):
        for selected in ("", "n1"):
            assert plan.step(claim(node=selected), other, driver=NAME, volume=VOLUME, node=node) == "nothing"
    assert plan.step(claim(node="n1"), storage_class(), driver=NAME, volume=VOLUME, node="n1") == "provision"
    assert plan.step(claim(), storage_class(), driver=NAME, volume=VOLUME, node="n1") == "volunteer"


def test_an_instance_without_a_controller_gets_no_loops() -> None:
    """On nodes: attachments must wait for the instance that can carry them out."""
    driver = ScriptedDriver()
    assert parts(driver, facts(services=()), SidecarSettings(), namespace="default") == []
    assert {part.lease for part in parts(driver, facts(*VERBS), SidecarSettings(), namespace="default")} == {
        f"external-attacher-leader-{NAME}"
    }
