"""Quantities: one spelling for each amount, exact arithmetic, and every quantity of an object found."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tiphys.api.core import v1 as core
from tiphys.api.machinery import quantity as q
from tiphys.api.machinery.base import Quantity

CANONICAL = [
    ("0", "0"), ("0m", "0"), ("1", "1"), ("1000", "1k"), ("1500", "1500"), ("1500m", "1500m"), ("0.5", "500m"), (".5", "500m"),
    ("2000m", "2"), ("5.", "5."), ("+3", "+3"), ("-5", "-5"), ("-1500m", "-1500m"), ("1Gi", "1Gi"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"),
    ("1000Ki", "1000Ki"), ("1024", "1024"), ("0.1Ki", "102400m"), ("0.5Ki", "512"), ("1e3", "1e3"), ("1E3", "1E3"), ("12e6", "12e6"),
    ("1e-3", "1e-3"), ("1E", "1E"), ("100E", "100E"), ("0.0000000001", "1n"), ("100n", "100n"), ("1u", "1u"),
    ("1000000u", "1"), ("8Ei", "9223372036854775807"), ("0.001k", "1"),
    (" 1", "1"), ("1 ", "1"), ("010", "010"), ("01Gi", "01Gi"), ("+0", "0"), ("-", "0"), (".", "0"), ("m", "0"), ("e3", "0"),
    ("1.500", "1.500"), ("1.50", "1500m"), ("100.000", "100"), ("1.500Ki", "1536"), ("1.0Gi", "1Gi"), ("1.1Ki", "1126400m"),
    ("9223372036854775808", "9223372036854775808"), ("92233720368547758070", "92233720368547758070"), ("-8Ei", "-9223372036854775807"),
    ("7Ei", "7Ei"), ("999999999999999999999E", "999999999999999999999E"), ("1000000000000000000000", "1000E"), ("1e100", "10e99"),
    ("1e1000", "10e999"), ("1e-1000", "1e-9"), ("-0.0000000001", "-1n"), ("0.0001Ki", "102400u"), ("1.0000000001", "1000000001n"),
    ("1e+3", "1e+3"), ("1E-6", "1E-6"), ("1e0", "1e0"), ("10e2", "1e3"), ("1000e-3", "1"),
    ("12345678901234567890m", "12345678901234567890m"),
    ("1.k", "1.k"), ("00.5", "500m"), ("1234567890123456789e3", "1234567890123456789e3"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "stored"), CANONICAL)
def test_canonical_spelling(text: str, stored: str) -> None:
    assert q.canonical(text) == stored


@pytest.mark.parametrize(
    ("text", "milli", "whole"), [("100m", 100, 1), ("1.5", 1500, 2), ("0.1m", 1, 1), ("1Ki", 1024000, 1024), ("-1500m", -1500, -1)]
)
def test_numbers_are_rounded_up(text: str, milli: int, whole: int) -> None:
    assert (q.milli(text), q.whole(text)) == (milli, whole)


@pytest.mark.parametrize(
    "text", ["", " ", "a", "1x", "1.5.5", "--1", "1 Gi", "\t1", "1\n", "1e", "1ki", "1ee3", "1_0", "\u0661", "1" * 300]
)
def test_other_texts_are_refused(text: str) -> None:
    for read in (q.parse, q.canonical):
        with pytest.raises(ValueError, match="quantit"):
            read(text)


texts = st.from_regex(r"[ ]?[+-]?[0-9]{0,25}(\.[0-9]{0,12})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2})?[ ]?", fullmatch=True)


@given(texts.filter(str.strip))
def test_the_stored_spelling_has_the_same_value_and_is_final(text: str) -> None:
    stored = q.canonical(text)
    assert q.parse(stored) == q.parse(text)
    assert q.canonical(stored) == stored


@given(texts.filter(str.strip))
def test_counts_fit_the_integers_that_schedulers_and_quotas_use(text: str) -> None:
    assert abs(q.whole(text)) <= 2**63 - 1
    assert abs(q.milli(text)) <= 1000 * (2**63 - 1)


def test_huge_exponents_cost_no_more_than_small_ones() -> None:
    assert q.whole("1e999999999") == 2**63 - 1
    assert q.canonical("1e-999999999") == "1e-9"


def test_an_empty_quantity_in_a_map_is_refused() -> None:
    pod = core.Pod(spec=core.PodSpec(containers=[core.Container(resources=core.ResourceRequirements(requests={"cpu": Quantity("")}))]))
    with pytest.raises(q.QuantityError, match='Pod in version "v1" cannot be handled as a Pod: quantities must match'):
        q.canonicalize(pod)


numbers = st.decimals(min_value=-(2**63) + 1, max_value=2**63 - 1, places=9)


@given(numbers, st.sampled_from(["decimal", "binary", "exponent"]))
@example(Decimal(5000), "binary")
def test_formatting_loses_nothing_and_is_stable(value: Decimal, family: q.Family) -> None:
    text = q.format_value(value, family)
    assert q.parse(text) == value
    assert q.format_value(q.parse(text), family) == text
    # A binary quantity that no Ki divides is bare digits, which read as a decimal one.
    if family != "binary" or text[-1] == "i":
        assert q.canonical(text) == text


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_addition_is_exact(a: int, b: int) -> None:
    assert q.milli(q.add(q.from_milli(a), q.from_milli(b))) == a + b
    assert q.compare(q.from_milli(a), q.from_milli(b)) == (a > b) - (a < b)


def test_a_sum_is_spelled_like_its_parts() -> None:
    assert q.total(["0", "512Mi", "512Mi"]) == "1Gi"
    assert q.total([]) == "0"


def test_every_quantity_of_a_pod_is_canonicalized() -> None:
    pod = core.Pod(
        spec=core.PodSpec(
            containers=[
                core.Container(
                    name="a",
                    resources=core.ResourceRequirements(requests={"cpu": Quantity("0.5")}, limits={"memory": Quantity("1024Mi")}),
                    env=[
                        core.EnvVar(
                            name="E",
                            valueFrom=core.EnvVarSource(
                                resourceFieldRef=core.ResourceFieldSelector(resource="limits.cpu", divisor=Quantity("1000m"))
                            ),
                        )
                    ],
                )
            ],
            volumes=[core.Volume(name="v", emptyDir=core.EmptyDirVolumeSource(sizeLimit=Quantity("1024Ki")))],
            overhead={"cpu": Quantity("1000m")},
        )
    )
    q.canonicalize(pod)
    container = pod.spec.containers[0]
    assert container.resources.requests == {"cpu": "500m"}
    assert container.resources.limits == {"memory": "1Gi"}
    source = container.env[0].valueFrom
    assert source is not None
    assert source.resourceFieldRef is not None
    assert source.resourceFieldRef.divisor == "1"
    volume = pod.spec.volumes[0].emptyDir
    assert volume is not None
    assert volume.sizeLimit == "1Mi"
    assert pod.spec.overhead == {"cpu": "1"}


def test_a_bad_quantity_in_an_object_is_a_bad_request_that_names_the_kind() -> None:
    node = core.Node(status=core.NodeStatus(capacity={"cpu": Quantity("many")}))
    with pytest.raises(q.QuantityError, match='Node in version "v1" cannot be handled as a Node: quantities must match') as caught:
        q.canonicalize(node)
    assert caught.value.code == 400


def test_types_without_quantities_are_told_apart() -> None:
    assert q.contains_quantities(core.Pod)
    assert not q.contains_quantities(core.ConfigMap)
    q.canonicalize(core.ConfigMap(data={"a": "b"}))
