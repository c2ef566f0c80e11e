"""Declarations of loops agree with their behavior, their rights, and the kinds marked as unattended."""

from __future__ import annotations

import dataclasses
import inspect
from collections import Counter
from typing import Any, get_type_hints

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.apiserver.auth.controller_roles import CONTROLLERS, RUN_AS_MANAGER
from tiphys.client import Client, PartialObject
from tiphys.controllers.certificates.settings import SigningSettings
from tiphys.controllers.registry import LOOPS, all_controllers
from tiphys.controllers.rootca.settings import RootCaSettings
from tiphys.controllers.settings import ControllerSettings
from tiphys.controllers.shared.slim import PODS
from tiphys.runtime import Controller, Manager
from tiphys.testing.faults import NoServer

EVERYTHING = ControllerSettings(SigningSettings(key="ca.key"), RootCaSettings(file="ca.crt"))

ATTENDED_ELSEWHERE = {
    "admission": {"limitranges"},
    "the API server": {
        "apiservices.apiregistration.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io",
        "flowschemas.flowcontrol.apiserver.k8s.io",
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
        "ipaddresses.networking.k8s.io",
        "tokenreviews.authentication.k8s.io",
        "localsubjectaccessreviews.authorization.k8s.io",
        "selfsubjectaccessreviews.authorization.k8s.io",
        "selfsubjectrulesreviews.authorization.k8s.io",
        "subjectaccessreviews.authorization.k8s.io",
    },
    "the scheduler, which gives devices to claims": {"deviceclasses.resource.k8s.io", "resourceslices.resource.k8s.io"},
    "the kubelet and the sidecars of drivers": {"csidrivers.storage.k8s.io", "csinodes.storage.k8s.io"},
    "who holds or brings them": {"leases.coordination.k8s.io", "ingresses.networking.k8s.io", "ingressclasses.networking.k8s.io"},
}
"""Kinds with a spec that no control loop needs to act on."""


@pytest.fixture
def manager() -> Manager:
    """A manager with every loop set up."""
    manager = Manager(Client(NoServer(), clock=VirtualClock()))
    manager.add_all(all_controllers(EVERYTHING))
    return manager


def test_every_loop_can_be_enabled_and_has_a_name_of_its_own() -> None:
    made = [type(controller) for controller in all_controllers(EVERYTHING)]
    assert made == list(LOOPS)
    assert Counter(loop.declaration.name for loop in LOOPS).most_common(1)[0][1] == 1


def test_loops_with_nothing_to_work_with_are_left_out() -> None:
    made = {controller.declaration.name for controller in all_controllers(ControllerSettings())}
    assert {loop.declaration.name for loop in LOOPS} - made == {"csrsigning", "root-ca-cert-publisher"}


def test_the_roles_are_those_that_the_manager_is_bound_to() -> None:
    declared = {role for loop in LOOPS for role in loop.declaration.roles}
    assert declared == set(RUN_AS_MANAGER)
    assert declared <= set(CONTROLLERS)
    assert [loop.declaration.name for loop in LOOPS if not loop.declaration.roles] == []


def test_a_kind_is_unattended_when_nothing_acts_on_it() -> None:
    """Kinds with a spec: a loop acts on them, or another part of the cluster, or whoever creates one is warned."""
    attended = {SCHEME.of(loop.declaration.kind).resource for loop in LOOPS if loop.declaration.kind and not loop.declaration.guards}
    elsewhere = set().union(*ATTENDED_ELSEWHERE.values())
    unattended = {kind.resource for kind in SCHEME if kind.unattended}
    assert attended & unattended == set()
    assert elsewhere & (attended | unattended) == set()
    promising = {kind.resource for kind in SCHEME if "spec" in kind.type.__struct_fields__}
    assert promising - attended - unattended == elsewhere
    assert [kind.ident for kind in SCHEME if kind.unattended != kind.hub.unattended] == []


@pytest.mark.parametrize("loop", [loop for loop in LOOPS if loop.declaration.settings is not None], ids=lambda loop: loop.declaration.name)
def test_a_loop_is_made_of_the_settings_that_it_declares(loop: type[Controller]) -> None:
    declared: Any = loop.declaration.settings
    assert get_type_hints(loop.__init__)["settings"] is declared
    assert [field.name for field in dataclasses.fields(declared) if field.default is dataclasses.MISSING] == []


def test_other_loops_are_made_of_nothing() -> None:
    assert [loop for loop in LOOPS if loop.declaration.settings is None and len(inspect.signature(loop).parameters)] == []


async def test_loops_take_the_caches_that_they_declare(manager: Manager) -> None:
    for loop in manager.loops:
        declaration = loop.controller.declaration
        declared = {read.type_ for read in declaration.reads}
        taken = {informer.kind.type for informer in loop.ctx.taken}
        if declaration.follows_any:
            # It takes some of them when it learns that it needs them.
            assert taken & declared
        else:
            assert taken == declared, declaration.name


async def test_the_garbage_collector_uses_the_caches_of_the_others(manager: Manager) -> None:
    kept = {read.kind(SCHEME).resource: read.type_ for loop in LOOPS for read in loop.declaration.reads if not read.is_selection}
    (collector,) = [loop for loop in manager.loops if loop.ctx.name == "garbage-collector-controller"]
    followed = {informer.kind.resource: informer.kind.type for informer in collector.ctx.taken}
    assert {resource: followed[resource] for resource in kept} == kept
    assert kept["pods"] is PODS.type_
    assert {type_ for resource, type_ in followed.items() if resource not in kept} == {PartialObject}
    assert core.Pod not in followed.values()
