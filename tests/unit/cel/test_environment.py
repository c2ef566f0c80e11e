"""Type checking, bounds of cost and values of expressions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tiphys.cel.environment import Environment
from tiphys.cel.errors import CompilationError, EvaluationError, TooComplex
from tiphys.cel.library import Library, Opaque, Overload

SIZED = Library(
    opaque=(Opaque("test.Size", Decimal, str, Decimal), Opaque("test.Place", complex, str, complex)),
    overloads=(
        Overload("size_of", ("string",), "test.Size", Decimal, member=False),
        Overload("place_of", ("string",), "test.Place", complex, member=False),
        Overload("above", ("test.Size", "test.Size"), "bool", lambda left, right: left > right),
        Overload("above", ("test.Place", "test.Place"), "bool", lambda left, right: left.imag > right.imag),
    ),
)
ANY = ("bool", "int", "string", "dyn", "test.Size".lower())


@pytest.fixture(scope="module")
def environment() -> Environment:
    return Environment({"x": "int", "s": "string", "m": "map(string, dyn)", "at": "test.Place"}, (SIZED,))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x == 1", True),
        ("s + 'b'", "ab"),
        ("m.n", 5),
        ("cel.bind(v, m.n, v == 5)", True),
        ("m.?missing.orValue('none')", "none"),
        ("'a' in ['a', 'b'] && [1, 2].exists(n, n == x)", True),
        ("s.upperAscii()", "A"),
        ("size_of('2').above(size_of('1.5'))", True),
        ("at.above(place_of('9+1j'))", True),
        ("m.size == size_of('7')", True),
        ("size_of('7')", Decimal(7)),
    ],
)
def test_evaluates(environment: Environment, text: str, value: Any) -> None:
    variables = {"x": 1, "s": "a", "m": {"n": 5, "size": Decimal(7)}, "at": 2j}
    assert environment.compile(text, expects=ANY).evaluate(variables) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x +", "compilation failed: ERROR: <input>:1:4: Syntax error"),
        ("y == 1", "undeclared reference to 'y'"),
        ("x == 's'", "found no matching overload for '_==_' applied to '(int, string)'"),
        ("size_of('1').above(at)", "found no matching overload for 'above'"),
        ("x + 1", "must evaluate to bool, not int"),
    ],
)
def test_refuses_mistakes(environment: Environment, text: str, message: str) -> None:
    with pytest.raises(CompilationError) as caught:
        environment.compile(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("m.missing == 1", "Key not found"), ("1 / (x - 1) == 1", "divide by zero"), ("size_of('word') == size_of('1')", "ConversionSyntax")],
)
def test_reports_values_that_do_not_suit(environment: Environment, text: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        environment.compile(text).evaluate({"x": 1, "m": {}})


def _doubled(times: int) -> str:
    text = f"v{times}.size() > 0"
    for number in reversed(range(times)):
        text = f"cel.bind(v{number + 1}, v{number} + v{number}, {text})"
    return f"cel.bind(v0, s, {text})"


@pytest.mark.parametrize(
    "text",
    [
        _doubled(24),
        "m.all(a, m.all(b, m.all(c, m.all(d, a == d))))",
        "[s, s, s, s, s, s, s, s].all(a, s.matches(s + s + s + s) && m.all(b, m.all(c, c == a)))",
    ],
)
def test_refuses_what_could_cost_too_much(environment: Environment, text: str) -> None:
    with pytest.raises(TooComplex, match="too complex, exceeds cost limit"):
        environment.compile(text, limit=100_000)


def test_costs_grow_with_the_size_of_variables() -> None:
    small, large = (Environment({"l": "list(int)"}, sizes={"l": size}) for size in (2, 2000))
    text = "l.all(a, l.exists(b, a == b))"
    assert small.compile(text).cost < 200
    with pytest.raises(TooComplex):
        large.compile(text)
