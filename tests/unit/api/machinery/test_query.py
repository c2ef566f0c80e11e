"""Query strings as typed options: the conversions of Kubernetes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tiphys.api.core.v1.options import PodExecOptions, PodLogOptions, PodPortForwardOptions
from tiphys.api.machinery.errors import BadRequest
from tiphys.api.machinery.query import decode_query
from tiphys.api.meta.v1.options import DeleteOptions, ListOptions, PatchOptions


@pytest.mark.parametrize("value", ["", "true", "True", "TRUE", "1", "t", "yes", "on", "no", "null", " "])
def test_a_flag_is_true_with_every_other_value(value: str) -> None:
    assert decode_query(ListOptions, [("watch", value)]).watch
    assert decode_query(PatchOptions, [("force", value)]).force is True
    assert decode_query(PodLogOptions, [("follow", value)]).follow


@pytest.mark.parametrize("value", ["0", "false", "False", "FALSE"])
def test_a_flag_is_false_with_two_values_in_any_case(value: str) -> None:
    assert not decode_query(ListOptions, [("watch", value)]).watch
    assert decode_query(ListOptions, [("sendInitialEvents", value)]).sendInitialEvents is False


def test_an_absent_flag_is_unset() -> None:
    assert decode_query(ListOptions, []).sendInitialEvents is None
    assert decode_query(PatchOptions, []).force is None
    assert decode_query(DeleteOptions, []).orphanDependents is None


def test_the_first_of_a_repeated_parameter_counts_and_lists_take_all() -> None:
    query = [("command", "sh"), ("stdin", "0"), ("command", "-c"), ("stdin", "1"), ("command", "")]
    assert decode_query(PodExecOptions, query) == PodExecOptions(command=["sh", "-c", ""])
    assert decode_query(PodPortForwardOptions, [("ports", "80,443"), ("ports", "8080")]).ports == [80, 443, 8080]


def test_numbers_names_and_times() -> None:
    options = decode_query(ListOptions, [("limit", "-5"), ("timeoutSeconds", "+9"), ("continue", "token"), ("unknown", "x")])
    assert (options.limit, options.timeoutSeconds, options.continue_) == (-5, 9, "token")
    moment = datetime(2020, 1, 1, 12, tzinfo=UTC)
    assert decode_query(PodLogOptions, [("sinceTime", "2020-01-01T13:00:00+01:00")]).sinceTime == moment
    assert decode_query(PodLogOptions, [("sinceTime", "null")]).sinceTime is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", 'strconv.ParseInt: parsing "": invalid syntax'),
        ("1.5", 'strconv.ParseInt: parsing "1.5": invalid syntax'),
        (" 1", 'strconv.ParseInt: parsing " 1": invalid syntax'),
        ("9223372036854775808", 'strconv.ParseInt: parsing "9223372036854775808": value out of range'),
        ("9" * 5000, f'strconv.ParseInt: parsing "{"9" * 100}": value out of range'),
    ],
)
def test_rejects_what_is_no_64_bit_number(value: str, message: str) -> None:
    with pytest.raises(BadRequest) as raised:
        decode_query(ListOptions, [("limit", value)])
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("type_", "name", "value"),
    [(PodPortForwardOptions, "ports", "80,"), (PodPortForwardOptions, "ports", "65536"), (PodLogOptions, "sinceTime", "yesterday")],
)
def test_rejects_ports_and_times_that_are_none(type_: type[PodLogOptions], name: str, value: str) -> None:
    with pytest.raises(BadRequest):
        decode_query(type_, [(name, value)])
