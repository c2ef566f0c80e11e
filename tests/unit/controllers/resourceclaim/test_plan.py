"""Claims that pods get from templates, and reservations of pods that have a node already."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.controllers.make import ago
from tests.unit.controllers.resourceclaim.make import claim, consumer, pod, template
from tiphys.api.core.v1 import PodExtendedResourceClaimStatus
from tiphys.api.machinery.names import dns_subdomain_messages
from tiphys.api.meta.v1 import OwnerReference
from tiphys.api.resource.resource_claim import MAX_CONSUMERS
from tiphys.api.resource.v1 import DeviceClaim, DeviceRequest, DeviceSubRequest, ExactDeviceRequest, ResourceClaim, ResourceClaimSpec
from tiphys.controllers.resourceclaim.plan import (
    ENTRY,
    Plan,
    asks_for_admin_access,
    claims_of,
    generate_name,
    needs_claims,
    plan,
    reserved,
)
from tiphys.controllers.shared.slim import SlimExtendedClaim, SlimPod
from tiphys.runtime import controller_of


def step_of(subject: SlimPod, *claims: ResourceClaim, templates: tuple[str, ...] = ("gpus",)) -> Plan:
    """The step for a pod in a namespace with these claims and templates."""
    by_name = {one.metadata.name: one for one in claims}
    owned = [one for one in claims if (owner := controller_of(one)) is not None and owner.uid == subject.metadata.uid]
    return plan(subject, owned, by_name.get, {name: template(name) for name in templates}.get)


def test_a_claim_is_made_of_the_template() -> None:
    step = step_of(pod())
    (new,) = step.create
    assert (new.entry, new.recorded, step.record, step.missing, step.reserve) == ("gpu", "", {}, {}, [])
    meta = new.claim.metadata
    assert (meta.name, meta.generateName, meta.namespace) == ("", "web-gpu-", "default")
    assert (meta.labels, meta.annotations) == ({"team": "a"}, {"note": "b", ENTRY: "gpu"})
    assert meta.ownerReferences == [
        OwnerReference(apiVersion="v1", kind="Pod", name="web", uid="uid-web", controller=True, blockOwnerDeletion=True)
    ]
    assert new.claim.spec == template().spec.spec


def test_the_entry_of_a_template_with_the_annotation_does_not_count() -> None:
    other = template()
    other.spec.metadata.annotations[ENTRY] = "other"
    (new,) = plan(pod(), [], lambda name: None, lambda name: other).create
    assert new.claim.metadata.annotations[ENTRY] == "gpu"
    assert other.spec.metadata.annotations[ENTRY] == "other"


def test_a_claim_that_is_there_is_recorded() -> None:
    step = step_of(pod(), claim("a", owner="web"))
    assert (step.create, step.record) == ([], {"gpu": "a"})
    assert step_of(pod(recorded={"gpu": "a"}), claim("a", owner="web")) == Plan()


@pytest.mark.parametrize(
    "stranger",
    [claim("a"), claim("a", owner="other"), claim("a", owner="web", entry="net")],
    ids=["nobody's", "another pod's", "another entry's"],
)
def test_only_the_claim_of_the_entry_is_adopted(stranger: ResourceClaim) -> None:
    step = step_of(pod(), stranger)
    assert [new.entry for new in step.create] == ["gpu"]
    assert step.record == {}


def test_a_claim_without_the_annotation_was_not_made_for_an_entry() -> None:
    stranger = claim("a", owner="web")
    stranger.metadata.annotations = {}
    assert len(step_of(pod(), stranger).create) == 1


@pytest.mark.parametrize("stranger", [claim("a"), claim("a", owner="other")], ids=["nobody's", "another pod's"])
def test_a_recorded_claim_that_is_not_the_pods_is_replaced(stranger: ResourceClaim) -> None:
    subject = pod(recorded={"gpu": "a"}, node="n1")
    stranger.status = claim(allocated=True).status
    step = step_of(subject, stranger)
    assert [(new.entry, new.recorded) for new in step.create] == [("gpu", "")]
    assert step.reserve == []
    assert step_of(subject, stranger, claim("b", owner="web")).record == {"gpu": "b"}


def test_a_recorded_claim_that_is_lost_is_made_again_after_a_look_at_the_server() -> None:
    (new,) = step_of(pod(recorded={"gpu": "a"})).create
    assert new.recorded == "a"


def test_a_recorded_claim_that_only_the_server_shows_is_there() -> None:
    """After a lost answer the claims of the pod come from the server, and the cache is behind."""
    assert plan(pod(recorded={"gpu": "a"}), [claim("a", owner="web")], lambda name: None, template) == Plan()


def test_of_several_claims_the_oldest_that_stays_is_recorded() -> None:
    young, old, leaving = (claim(name, owner="web", deleting=name == "c") for name in "abc")
    for one, age in ((young, 1), (old, 2), (leaving, 3)):
        one.metadata.creationTimestamp = ago(age)
    assert step_of(pod(), young, old, leaving).record == {"gpu": "b"}
    assert step_of(pod(), leaving).record == {"gpu": "c"}
    assert step_of(pod(recorded={"gpu": "a"}), young, old).record == {}


def test_an_entry_that_needs_no_claim_gets_none() -> None:
    assert step_of(pod(recorded={"gpu": None}, node="n1"), claim("a", owner="web", allocated=True)) == Plan()


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_ended_gets_nothing(phase: str) -> None:
    """Its claims are deleted and its reservations removed, so that it would get them again forever (kubernetes/kubernetes#141274)."""
    subject = pod(phase=phase, shared={"net": "shared"}, node="n1")
    assert step_of(subject, claim("shared", allocated=True)) == Plan()


def test_a_pod_that_is_being_deleted_gets_nothing() -> None:
    assert step_of(pod(deleting=True, node="n1", shared={"net": "shared"}), claim("shared", allocated=True)) == Plan()


def test_missing_templates_do_not_hold_up_other_entries() -> None:
    step = step_of(pod(templates={"a": "none", "gpu": "gpus", "b": "gpus"}), claim("x", owner="web", entry="b"))
    assert step.missing == {"a": "none"}
    assert [new.entry for new in step.create] == ["gpu"]
    assert step.record == {"b": "x"}


def test_a_pod_with_a_node_is_entered_in_allocated_claims() -> None:
    subject = pod(recorded={"gpu": "a"}, shared={"net": "shared"}, node="n1")
    own, shared = claim("a", owner="web", allocated=True), claim("shared", allocated=True, reserved_for=[consumer("other")])
    step = step_of(subject, own, shared)
    assert [one.metadata.name for one in step.reserve] == ["a", "shared"]
    assert reserved(shared, subject).reservedFor == [consumer("other"), consumer("web")]
    assert reserved(shared, subject).allocation == shared.status.allocation
    assert shared.status.reservedFor == [consumer("other")]
    assert step_of(pod(recorded={"gpu": "a"}, shared={"net": "shared"}), own, shared) == Plan()


@pytest.mark.parametrize(
    "shared",
    [
        None,
        claim("shared"),
        claim("shared", allocated=True, reserved_for=[consumer("web")]),
        claim("shared", allocated=True, deleting=True),
        claim("shared", allocated=True, reserved_for=[consumer(f"p{n}") for n in range(MAX_CONSUMERS)]),
    ],
    ids=["absent", "not allocated", "reserved", "being deleted", "full"],
)
def test_claims_that_a_pod_is_not_entered_in(shared: ResourceClaim | None) -> None:
    assert step_of(pod(templates={}, shared={"net": "shared"}, node="n1"), *([shared] if shared else [])) == Plan()


def test_the_last_place_of_a_claim_is_given_away() -> None:
    shared = claim("shared", allocated=True, reserved_for=[consumer(f"p{n}") for n in range(MAX_CONSUMERS - 1)])
    assert step_of(pod(templates={}, shared={"net": "shared"}, node="n1"), shared).reserve == [shared]


ENTRIES = ("gpu", "net", "disk")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[SlimPod, list[ResourceClaim]]:
    """A pod in any state, and claims of its own, of other pods and of nobody."""
    names = [f"c{number}" for number in range(5)]
    name = st.sampled_from(names)
    templates = draw(st.dictionaries(st.sampled_from(ENTRIES), st.sampled_from(("gpus", "none"))))
    subject = pod(
        templates=templates,
        shared=draw(st.dictionaries(st.just("shared"), name)),
        recorded=draw(st.dictionaries(st.sampled_from(tuple(templates)), st.none() | name)) if templates else {},
        node=draw(st.sampled_from(("", "n1"))),
        phase=draw(st.sampled_from(("Pending", "Running", "Succeeded"))),
        deleting=draw(st.booleans()),
    )
    claims = []
    for one in draw(st.sets(name)):
        is_allocated = draw(st.booleans())
        consumers = draw(st.sets(st.sampled_from(("web", "other")))) if is_allocated else ()
        claims.append(
            claim(
                one,
                owner=draw(st.sampled_from(("", "web", "other"))),
                entry=draw(st.sampled_from(ENTRIES)),
                allocated=is_allocated,
                reserved_for=[consumer(user) for user in sorted(consumers)],
                deleting=draw(st.booleans()),
            )
        )
    return subject, claims


def applied(subject: SlimPod, claims: list[ResourceClaim], step: Plan) -> tuple[SlimPod, list[ResourceClaim]]:
    """The world after a step."""
    record = dict(step.record)
    after = {one.metadata.name: one for one in claims}
    for number, new in enumerate(step.create):
        record[new.entry] = name = f"new-{number}"
        after[name] = claim(name, owner="web", entry=new.entry)
    for one in step.reserve:
        after[one.metadata.name] = msgspec.structs.replace(one, status=reserved(one, subject))
    recorded = {one.name: one.resourceClaimName for one in subject.status.resourceClaimStatuses} | record
    return (
        pod(
            templates={one.name: one.resourceClaimTemplateName for one in subject.spec.resourceClaims if one.resourceClaimTemplateName},
            shared={one.name: one.resourceClaimName for one in subject.spec.resourceClaims if one.resourceClaimName},
            recorded=recorded,
            node=subject.spec.nodeName,
            phase=subject.status.phase,
            deleting=subject.metadata.deletionTimestamp is not None,
        ),
        list(after.values()),
    )


@given(worlds())
def test_a_step_leaves_nothing_to_do_but_to_wait_for_templates(world: tuple[SlimPod, list[ResourceClaim]]) -> None:
    step = step_of(*_flat(*world))
    again = step_of(*_flat(*applied(*world, step)))
    assert again == Plan(missing=step.missing)


@given(worlds())
def test_nothing_is_made_twice_and_nothing_is_taken_from_others(world: tuple[SlimPod, list[ResourceClaim]]) -> None:
    subject, claims = world
    step = step_of(*_flat(*world))
    mine = {(one.metadata.annotations[ENTRY], one.metadata.name) for one in claims if one.metadata.ownerReferences and _is_mine(one)}
    created = [new.entry for new in step.create]
    assert len(set(created)) == len(created)
    assert not {entry for entry, _ in mine} & {*created, *step.missing}
    assert set(step.record.items()) <= mine
    assert not {*step.record} & {*created}
    used = {*claims_of(subject), *step.record.values()}
    assert all(one.metadata.name in used and one.status.allocation is not None for one in step.reserve)
    assert subject.spec.nodeName or not step.reserve
    assert needs_claims(subject) or step == Plan()


def _flat(subject: SlimPod, claims: list[ResourceClaim]) -> tuple[SlimPod, *tuple[ResourceClaim, ...]]:
    return subject, *claims


def _is_mine(one: ResourceClaim) -> bool:
    return one.metadata.ownerReferences[0].uid == "uid-web"


@pytest.mark.parametrize(
    ("subject", "needed"),
    [
        (pod(), True),
        (pod(node="n1", phase="Running"), True),
        (pod(node="n1", phase="Running", deleting=True), True),
        (pod(deleting=True), False),
        (pod(node="n1", phase="Succeeded"), False),
        (pod(node="n1", phase="Failed", deleting=True), False),
    ],
)
def test_pods_need_claims_until_no_container_can_run(subject: SlimPod, needed: bool) -> None:
    assert needs_claims(subject) is needed


def test_the_claims_of_a_pod() -> None:
    subject = pod(templates={"gpu": "gpus", "disk": "gpus", "cpu": "gpus"}, shared={"net": "n"}, recorded={"gpu": "g", "disk": None})
    assert claims_of(subject) == ["g", "n"]
    subject.status.extendedResourceClaimStatus = SlimExtendedClaim(resourceClaimName="e")
    assert claims_of(subject) == ["g", "n", "e"]
    whole = PodExtendedResourceClaimStatus(resourceClaimName="e")
    assert msgspec.convert(msgspec.to_builtins(whole), SlimExtendedClaim) == subject.status.extendedResourceClaimStatus


@pytest.mark.parametrize(
    ("name", "entry", "base"),
    [
        ("web", "gpu", "web-gpu-"),
        ("p" * 50, "e" * 5, f"{'p' * 50}-{'e' * 5}-"),
        ("p" * 51, "e" * 5, f"{'p' * 50}-{'e' * 4}"),
        ("p" * 100, "e" * 63, f"{'p' * 34}-{'e' * 21}"),
        ("p" * 54 + "." + "q" * 45, "e", f"{'p' * 54}-"),
    ],
)
def test_long_names_keep_a_part_of_the_pods_and_of_the_entrys(name: str, entry: str, base: str) -> None:
    assert generate_name(name, entry) == base


LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
SUBDOMAIN = st.lists(LABEL, min_size=1, max_size=8).map(".".join).filter(lambda name: len(name) <= 253)


@given(SUBDOMAIN, LABEL)
def test_generated_names_are_valid_and_fit(name: str, entry: str) -> None:
    base = generate_name(name, entry)
    assert len(base) <= 58
    assert not dns_subdomain_messages(f"{base}x7k2p")


def test_admin_access() -> None:
    one = claim()
    assert not asks_for_admin_access(one)
    requests = [
        DeviceRequest(name="a", firstAvailable=[DeviceSubRequest(name="b")]),
        DeviceRequest(name="c", exactly=ExactDeviceRequest(adminAccess=True)),
    ]
    one.spec = ResourceClaimSpec(devices=DeviceClaim(requests=requests))
    assert asks_for_admin_access(one)
    one.spec = ResourceClaimSpec()
    assert not asks_for_admin_access(one)
