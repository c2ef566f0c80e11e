"""Work on long input grows with its length, not with its square."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

import tiphys.api
import tiphys.apiserver
from tiphys.api.batch import schedule as cron
from tiphys.api.certificates import certificate_signing_request as certificates
from tiphys.api.core import v1 as core
from tiphys.api.core.pods.resources import requirements
from tiphys.api.core.pods.scheduling import spread
from tiphys.api.core.resource_quota import validate_quota
from tiphys.api.core.v1 import ResourceClaim, ResourceRequirements
from tiphys.api.helpers import tolerations
from tiphys.api.machinery import codec
from tiphys.api.machinery.apply import document, fieldset
from tiphys.api.machinery.apply.conflicts import ApplyConflict, FieldConflict
from tiphys.api.machinery.apply.managers import Manager, after_update
from tiphys.api.machinery.apply.schema import schema_of
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.errors import MOST_COMPOSED, MOST_ERROR_TEXT, MOST_VALUE, BadRequest, FieldError, Invalid, invalid
from tiphys.api.machinery.patch import strategic_merge
from tiphys.api.meta.v1 import ManagedFieldsEntry, OwnerReference
from tiphys.api.rules.meta import owner_references

POD = schema_of(core.Pod)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SIZE = 1000
LONGER = 8
MOST_GROWTH = 24.0
"""Growth allowed for eight times the length: 8 for linear work, 64 for quadratic work. The middle of the two on a scale of factors."""
ATTEMPTS = 8
"""Quadratic work fails all of them, whatever else the machine does; for linear work one undisturbed measurement is enough."""
SHORTEST = 0.02
"""Seconds of CPU time that say nothing about growth: most of them is noise."""


def spec(**fields: Any) -> dict[str, Any]:
    return {"spec": fields}


def containers(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"name": f"c{index}", **fields} for index in range(count)]


def delete_items(count: int) -> None:
    strategic_merge(core.Pod, spec(containers=containers(count)), spec(containers=containers(count, **{"$patch": "delete"})))


def delete_scalars(count: int) -> None:
    metadata = {"finalizers": [f"a{index}" for index in range(count)]}
    patch = {"$deleteFromPrimitiveList/finalizers": [f"b{index}" for index in range(count)]}
    strategic_merge(core.Pod, {"metadata": metadata}, {"metadata": patch})


def retain_keys(count: int) -> None:
    strategic_merge(None, {f"a{index}": 1 for index in range(count)}, {"$retainKeys": [f"b{index}" for index in range(count)]})


def merge_reversed(count: int) -> None:
    strategic_merge(core.Pod, spec(containers=containers(count)), spec(containers=containers(count)[::-1]))


def apply_reversed(count: int) -> None:
    document.merge(POD, spec(containers=containers(count)), spec(containers=containers(count)[::-1]))


def compare_repeated(count: int) -> None:
    document.compare(POD, spec(containers=[]), spec(containers=[{"name": "a"}] * (3 * count)))


def use_claims(count: int) -> None:
    claims = [ResourceClaim(name=f"c{index}") for index in range(count)]
    requirements([], "resources", ResourceRequirements(claims=claims), frozenset(claim.name for claim in claims))


def use_unknown_claims(count: int) -> None:
    claims = [ResourceClaim(name=f"c{index}") for index in range(count)]
    requirements([], "resources", ResourceRequirements(claims=claims), frozenset(f"d{index}" for index in range(count)))


def repeat_keys(count: int) -> None:
    body = b'{"data":{' + b",".join(b'"k%d":"","k%d":""' % (index, index) for index in range(count)) + b"}}"
    with pytest.raises(BadRequest, match="duplicate field"):
        codec.decode(core.ConfigMap, body, validation="Strict")


def manager(index: int, field: str) -> ManagedFieldsEntry:
    fields = msgspec.Raw(b'{"f:data":{"f:%b":{}}}' % field.encode())
    return ManagedFieldsEntry(manager=f"m{index}", operation="Update", apiVersion="v1", time=NOW, fieldsType="FieldsV1", fieldsV1=fields)


def fold_managers(count: int) -> None:
    entries = [manager(index, f"a{index}") for index in range(count)]
    made = document.Difference({"f:data": {"f:new": fieldset.LEAF}}, {})
    assert len(after_update(entries, made, "me", "v1", NOW)) == 10


def change_fields_of_many(count: int) -> None:
    entries = [manager(index, f"b{index}") for index in range(count)]
    made = document.Difference({"f:data": {f"f:a{index}": fieldset.LEAF for index in range(3 * count)}}, {})
    assert len(after_update(entries, made, "me", "v1", NOW)) == 10


def conflict_with_many(count: int) -> None:
    ApplyConflict([FieldConflict(Manager("Apply", f"m{index}", ""), (f"f:a{index}",)) for index in range(count)])


def long_schedule(count: int) -> None:
    assert cron.schedule_message("@every " + "1" * count * 20)


def certificates_without_end(count: int) -> None:
    with pytest.raises(certificates.Unreadable):
        certificates.read_request(b"-----BEGIN A-----\n" * count * 20)


def merge_tolerations(count: int) -> None:
    different = [core.Toleration(key=f"a{index}", operator="Exists") for index in range(count)]
    alike = [core.Toleration(key="a", operator="Equal", value="b", effect="NoExecute", tolerationSeconds=index) for index in range(count)]
    assert len(tolerations.merged(different, alike, [core.Toleration(key="x", operator="Exists")])) == count + 2


def spread_over_many_keys(count: int) -> None:
    constraints = [
        core.TopologySpreadConstraint(maxSkew=1, topologyKey=f"a{index}", whenUnsatisfiable="DoNotSchedule") for index in range(3 * count)
    ]
    errors: list[FieldError] = []
    spread(errors, "spec", constraints)
    assert errors == []


def scopes_of_many_resources(count: int) -> None:
    hard = {f"count/a{index}.b.c": Quantity("1") for index in range(count)}
    wrong = [core.ScopedResourceSelectorRequirement(scopeName="BestEffort", operator="Exists")] * count
    selector = core.ScopeSelector(matchExpressions=wrong)
    scopes = ["BestEffort"] * count + [f"x{index}" for index in range(count)]
    validate_quota(core.ResourceQuota(spec=core.ResourceQuotaSpec(hard=hard, scopes=scopes, scopeSelector=selector)))


def cpu(work: Callable[[int], None], count: int) -> float:
    """The CPU time of the work, in seconds."""
    gc.disable()  # A collection walks every object of the test run, which says nothing about the work.
    try:
        begin = time.thread_time()
        work(count)
        return time.thread_time() - begin
    finally:
        gc.enable()


def grows_with_the_square(work: Callable[[int], None], count: int) -> bool:
    """Return whether the work takes much longer than its input is, however often it is measured."""
    work(count)
    for _ in range(ATTEMPTS):
        long = cpu(work, LONGER * count)
        if long < SHORTEST or long < MOST_GROWTH * cpu(work, count):
            return False
    return True


@pytest.mark.parametrize(
    "work",
    [
        *(delete_items, delete_scalars, retain_keys, merge_reversed, apply_reversed, compare_repeated, use_claims, use_unknown_claims),
        *(repeat_keys, fold_managers, change_fields_of_many, conflict_with_many, long_schedule, certificates_without_end),
        *(merge_tolerations, spread_over_many_keys, scopes_of_many_resources),
    ],
    ids=lambda work: work.__name__,
)
def test_work_does_not_grow_with_the_square(work: Callable[[int], None]) -> None:
    assert not grows_with_the_square(work, SIZE)


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def patterns() -> dict[str, tuple[re.Pattern[Any], bool]]:
    """The expressions that modules of the API and its server keep, by where they are, and whether they are searched for in a text."""
    found: dict[str, tuple[re.Pattern[Any], bool]] = {}
    for package in (tiphys.api, tiphys.apiserver):
        for module in modules(package):
            source = Path(str(module.__file__)).read_text()
            for name, value in vars(module).items():
                kept = value if isinstance(value, re.Pattern) else getattr(value, "__self__", None)
                if isinstance(kept, re.Pattern):
                    searched = re.search(rf"\b{name}\.(search|sub|split|find\w+)\(", source) or getattr(value, "__name__", "") == "search"
                    found[f"{module.__name__}.{name}"] = kept, bool(searched)
    return found


PATTERNS = patterns()
PIECES = (
    *(
        "a",
        "A",
        "0",
        "1",
        ".",
        "-",
        " ",
        "\n",
        "a.",
        "a-",
        "0.",
        "1s",
        "a,",
        "a=b,",
        "\\",
        "\\a",
        "'",
        '"',
        "[",
        "['a']",
        "[ ",
        "(",
        ":",
        "/",
    ),
    *(
        "@a ",
        "%TAG ",
        "{}",
        "[]",
        '"a',
        "é",
        "_",
        "*",
        "$(",
        "T00:00:00",
        ".000000",
        ": ",
        "-----BEGIN A-----\n",
        "a@",
        "<",
        "[?(",
        "rgb( ",
    ),
)
STARTS = ("", "a", "1", "0.0.0-", "[", "['", '"', "[?(@", "@", "iqn.2000-01.a", "rgb(", "*.", "v1.", "- ", "a.b/", "-----BEGIN ")


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_do_not_grow_with_the_square(name: str) -> None:
    pattern, searched = PATTERNS[name]
    for start in STARTS:
        for piece in PIECES:

            def use(count: int, start: str = start, piece: str = piece) -> None:
                text: Any = start + piece * count + "\0"
                if isinstance(pattern.pattern, bytes):
                    text = text.encode()
                pattern.fullmatch(text)
                pattern.match(text)
                if searched:
                    pattern.sub(text[:0], text)

            begin = time.thread_time()
            use(400)
            # Linear work on so little takes microseconds; what takes longer is looked at more closely.
            if time.thread_time() - begin > 0.0002:
                assert not grows_with_the_square(use, 500), (start, piece)


def test_errors_that_quote_long_values_are_bounded_together() -> None:
    value = "a" * 100_000
    errors = [invalid(f"spec.items[{index}]", value, "must be shorter") for index in range(200)]
    error = Invalid.object("Thing", "a", errors)
    assert len(error.errors) == MOST_ERROR_TEXT // MOST_VALUE
    assert str(error).endswith("and 192 more]")
    assert len(str(error)) < MOST_ERROR_TEXT + 2 * MOST_VALUE


def test_errors_do_not_repeat_whole_lists() -> None:
    owners = [OwnerReference(apiVersion="v1", kind="A", name=f"n{index}", uid=f"u{index}", controller=True) for index in range(600)]
    errors: list[FieldError] = []
    owner_references(errors, "metadata.ownerReferences", owners)
    assert len(errors) == 599
    assert {len(str(error)) < MOST_COMPOSED + 300 for error in errors} == {True}
    error = Invalid.object("Thing", "a" * 100_000, errors)
    assert len(msgspec.json.encode(error.status())) < 200_000
    quota = core.ResourceQuota(spec=core.ResourceQuotaSpec(hard={"cpu": Quantity("1")}, scopes=["BestEffort"] * 3000))
    assert [error.detail for error in validate_quota(quota)] == ["unsupported scope applied to resource"]
