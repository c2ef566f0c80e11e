"""Label and field selectors: parsing, matching and spelling.

    labels    app=web,tier!=db,env in (a,b),zone notin (c),gpu,!spot,weight>5
    fields    spec.nodeName=node-1,status.phase!=Failed

Errors are `SelectorError`, whose text is what the API server answers with 400. The grammar is that of "Labels and Selectors" and
"Field Selectors".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.names import label_value, qualified_name
from tiphys.api.meta.v1 import LabelSelector

__all__ = [
    "EVERYTHING",
    "EVERY_FIELD",
    "NOTHING",
    "FieldRequirement",
    "FieldSelector",
    "Requirement",
    "Selector",
    "SelectorError",
    "from_label_selector",
    "from_map",
    "parse_fields",
    "parse_labels",
]

FEW = 8
"""Requirements that are tested one by one; more are condensed first."""

Operator = Literal["=", "==", "!=", "in", "notin", "exists", "!", ">", "<"]


class SelectorError(ValueError):
    """The selector cannot be understood."""


class Requirement(NamedTuple):
    """One condition on one label. `values` are sorted."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.operator == "exists":
            return self.key
        if self.operator == "!":
            return f"!{self.key}"
        listed = ",".join(self.values)
        if self.operator in ("in", "notin"):
            return f"{self.key} {self.operator} ({listed})"
        return f"{self.key}{self.operator}{listed}"


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,19}", text) else None


def _compile(requirement: Requirement) -> Callable[[Mapping[str, str]], bool]:
    key, operator, values = requirement
    if operator == "exists":
        return lambda labels: key in labels
    if operator == "!":
        return lambda labels: key not in labels
    if operator in ("=", "==", "in"):
        if len(values) == 1:
            value = values[0]
            return lambda labels: labels.get(key) == value
        allowed = frozenset(values)
        return lambda labels: labels.get(key) in allowed
    if operator in ("!=", "notin"):
        unwanted = frozenset(values)
        return lambda labels: labels.get(key) not in unwanted
    bound = _integer(values[0])
    assert bound is not None
    greater = operator == ">"

    def ordered(labels: Mapping[str, str]) -> bool:
        number = _integer(labels.get(key, ""))
        return number is not None and (number > bound if greater else number < bound)

    return ordered


def _condensed(requirements: Iterable[Requirement]) -> Iterator[Callable[[Mapping[str, str]], bool]]:
    """The tests of a long selector: together they take about as long as an object has labels, however many requirements there are."""
    allowed: dict[str, frozenset[str]] = {}
    denied: dict[str, set[str] | None] = {}
    others: dict[tuple[str, str], Requirement] = {}
    for requirement in requirements:
        key, operator, values = requirement
        if operator in ("=", "==", "in"):
            allowed[key] = allowed[key].intersection(values) if key in allowed else frozenset(values)
        elif operator in ("!=", "notin"):
            if (known := denied.setdefault(key, set())) is not None:
                known.update(values)
        elif operator == "!":
            denied[key] = None
        else:
            known_bound = others.get((key, operator))
            if known_bound is None or (operator != "exists" and _is_tighter(requirement, known_bound)):
                others[key, operator] = requirement
    if denied:
        yield lambda labels: not any(key in denied and _is_denied(denied[key], value) for key, value in labels.items())
    if allowed:
        yield lambda labels: all(labels.get(key) in values for key, values in allowed.items())
    yield from map(_compile, others.values())


def _is_denied(values: set[str] | None, value: str) -> bool:
    """True if a label with this value must not be there; None matches any value."""
    return values is None or value in values


def _is_tighter(requirement: Requirement, other: Requirement) -> bool:
    """True if the one bound implies the other."""
    bound, known = _integer(requirement.values[0]) or 0, _integer(other.values[0]) or 0
    return bound > known if requirement.operator == ">" else bound < known


def _pair(requirements: tuple[Requirement, ...]) -> tuple[str, str] | None:
    if len(requirements) != 1:
        return None
    key, operator, values = requirements[0]
    return (key, values[0]) if operator in ("=", "==", "in") and len(values) == 1 else None


class Selector:
    """Conditions on labels, all of which must hold. `empty` selectors match everything; NOTHING matches nothing."""

    __slots__ = ("_tests", "empty", "nothing", "pair", "requirements")

    def __init__(self, requirements: Iterable[Requirement] = (), *, nothing: bool = False) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda r: r.key))
        few = len(self.requirements) <= FEW
        self._tests = tuple(_compile(requirement) for requirement in self.requirements) if few else tuple(_condensed(self.requirements))
        self.nothing = nothing
        self.empty = not self.requirements and not nothing
        self.pair = _pair(self.requirements) if not nothing else None
        """The one label and value that an object must have, if that is the whole selector, as in most."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True if an object with these labels is selected."""
        for test in self._tests:
            if not test(labels):
                return False
        return not self.nothing

    def equal(self, key: str) -> str | None:
        """The one value that the label must have, or None if the selector does not pin it: for index look-ups."""
        for requirement in self.requirements:
            if requirement.key == key and requirement.operator in ("=", "==", "in") and len(requirement.values) == 1:
                return requirement.values[0]
        return None

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)

    def __repr__(self) -> str:
        return "Selector(nothing)" if self.nothing else f"Selector({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selector) and (self.requirements, self.nothing) == (other.requirements, other.nothing)

    def __hash__(self) -> int:
        return hash((self.requirements, self.nothing))


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


def _requirement(key: str, operator: Operator, values: Collection[str]) -> Requirement:
    wrong = []
    if message := qualified_name(key):
        wrong.append(f'key: Invalid value: "{key}": {message}')
    if operator in ("in", "notin") and not values:
        wrong.append("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
    if operator in ("exists", "!") and values:
        wrong.append("values: Invalid value: values set must be empty for exists and does not exist")
    ordered = tuple(sorted(set(values)))
    for index, value in enumerate(ordered):
        if operator in (">", "<") and _integer(value) is None:
            wrong.append(f"values[{index}]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer")
        if message := label_value(value):
            wrong.append(f'values[{index}][{key}]: Invalid value: "{value}": {message}')
    if wrong:
        raise SelectorError(wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")
    return Requirement(key, operator, ordered)


def from_map(labels: Mapping[str, str]) -> Selector:
    """The selector for objects that carry all these labels (a Service's or a ReplicationController's)."""
    return Selector(Requirement(key, "=", (value,)) for key, value in labels.items())


_OPERATORS: dict[str, Operator] = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def from_label_selector(selector: LabelSelector | None) -> Selector:
    """The selector of an object. None selects nothing, an empty one everything; raises SelectorError."""
    if selector is None:
        return NOTHING
    requirements = [_requirement(key, "=", (value,)) for key, value in selector.matchLabels.items()]
    for expression in selector.matchExpressions:
        operator = _OPERATORS.get(expression.operator)
        if operator is None:
            raise SelectorError(f'"{expression.operator}" is not a valid label selector operator')
        requirements.append(_requirement(expression.key, operator, expression.values))
    return Selector(requirements) if requirements else EVERYTHING


# ---- the text of a label selector ------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"[ \t\r\n]*(?:(?P<symbol>==|!=|=|!|\(|\)|,|>|<)|(?P<word>[^ \t\r\n=!(),><]+)|$)")
_END = ("end", "")


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            assert match is not None
            position = match.end()
            if match["symbol"]:
                self.tokens.append((match["symbol"], match["symbol"]))
            elif match["word"]:
                self.tokens.append(("word", match["word"]))
        self.position = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.position] if self.position < len(self.tokens) else _END

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.position += 1
        return token

    def parse(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        while True:
            kind, literal = self.peek()
            if kind == "end":
                return requirements
            if kind not in ("word", "!"):
                raise SelectorError(f"found '{literal}', expected: !, identifier, or 'end of string'")
            try:
                requirements.append(self.requirement())
            except SelectorError as wrong:
                raise SelectorError(f"unable to parse requirement: {wrong}") from None
            kind, literal = self.take()
            if kind == "end":
                return requirements
            if kind != ",":
                raise SelectorError(f"found '{literal}', expected: ',' or 'end of string'")
            kind, literal = self.peek()
            if kind not in ("word", "!"):
                raise SelectorError(f"found '{literal}', expected: identifier after ','")

    def requirement(self) -> Requirement:
        kind, key = self.take()
        absent = kind == "!"
        if absent:
            kind, key = self.take()
        if kind != "word":
            raise SelectorError(f"found '{key}', expected: identifier")
        if message := qualified_name(key):
            raise SelectorError(f'<nil>: Invalid value: "{key}": {message}')
        if absent:
            return Requirement(key, "!")
        if self.peek()[0] in ("end", ","):
            return Requirement(key, "exists")
        kind, literal = self.take()
        match literal if kind == "word" else kind:
            case "in" | "notin" as operator:
                return _requirement(key, operator, self.values())
            case "=" | "==" | "!=" | ">" | "<" as operator:
                return _requirement(key, operator, (self.exact(),))
        raise SelectorError(f"found '{literal}', expected: in, notin, =, ==, !=, >, <")

    def exact(self) -> str:
        if self.peek()[0] in ("end", ","):
            return ""
        kind, literal = self.take()
        if kind != "word":
            raise SelectorError(f"found '{literal}', expected: identifier")
        return literal

    def values(self) -> list[str]:
        """`(a,,b)`: an empty place is the empty value."""
        kind, literal = self.take()
        if kind != "(":
            raise SelectorError(f"found '{literal}' expected: '('")
        values: list[str] = []
        while True:
            values.append(self.take()[1] if self.peek()[0] == "word" else "")
            kind, literal = self.take()
            if kind == ")":
                return values
            if kind != ",":
                raise SelectorError(f"found '{literal}', expected: ',' or ')'")


@cached()
def parse_labels(text: str) -> Selector:
    """The selector that `labelSelector=` in a query or `kubectl -l` names; raises SelectorError."""
    requirements = _Parser(text).parse()
    return Selector(requirements) if requirements else EVERYTHING


# ---- fields ----------------------------------------------------------------------------------------------------------------------------


class FieldRequirement(NamedTuple):
    """One condition on one field."""

    field: str
    operator: Literal["=", "!="]
    value: str

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
        return f"{self.field}{self.operator}{escaped}"


class FieldSelector:
    """Conditions on fields, all of which must hold. A field that is absent has the empty value."""

    __slots__ = ("_allowed", "_denied", "_tests", "empty", "requirements")

    def __init__(self, requirements: Iterable[FieldRequirement] = ()) -> None:
        self.requirements = tuple(sorted(requirements))
        tests = ((r.field, r.value, r.operator == "=") for r in self.requirements)
        self._tests = tuple(tests) if len(self.requirements) <= FEW else ()
        self._allowed, self._denied = _by_field(self.requirements) if len(self.requirements) > FEW else ({}, {})
        self.empty = not self.requirements

    def matches(self, fields: Mapping[str, str]) -> bool:
        """True if an object with these fields is selected."""
        for field, value, equal in self._tests:
            if (fields.get(field, "") == value) is not equal:
                return False
        if self._allowed or self._denied:
            return all(fields.get(field, "") in values for field, values in self._allowed.items()) and not any(
                fields.get(field, "") in values for field, values in self._denied.items()
            )
        return True

    @property
    def fields(self) -> frozenset[str]:
        """The fields that the selector asks about."""
        return frozenset(requirement.field for requirement in self.requirements)

    def equal(self, field: str) -> str | None:
        """The one value that the field must have, or None."""
        for requirement in self.requirements:
            if requirement.field == field and requirement.operator == "=":
                return requirement.value
        return None

    def require(self, known: Collection[str]) -> None:
        """Raise SelectorError if the selector asks about a field that is not one of these."""
        for requirement in self.requirements:
            if requirement.field not in known:
                if set(known) <= {"metadata.name", "metadata.namespace"}:
                    raise SelectorError(f'"{requirement.field}" is not a known field selector: only "metadata.name", "metadata.namespace"')
                raise SelectorError(f"field label not supported: {requirement.field}")

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)

    def __repr__(self) -> str:
        return f"FieldSelector({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSelector) and self.requirements == other.requirements

    def __hash__(self) -> int:
        return hash(self.requirements)


def _by_field(requirements: Iterable[FieldRequirement]) -> tuple[dict[str, frozenset[str]], dict[str, set[str]]]:
    """The values that each field may have, and those that it must not have."""
    allowed: dict[str, frozenset[str]] = {}
    denied: dict[str, set[str]] = {}
    for requirement in requirements:
        field, value = requirement.field, requirement.value
        if requirement.operator == "=":
            allowed[field] = allowed.get(field, frozenset((value,))) & {value}
        else:
            denied.setdefault(field, set()).add(value)
    return allowed, denied


EVERY_FIELD = FieldSelector()
_TERM = re.compile(r"(?:\\.|[^,\\])+|\\$", re.DOTALL)
_PARTS = re.compile(r"(.*?)(!=|==|=)(.*)", re.DOTALL)


def _unescape(text: str) -> str:
    result, escaped = [], False
    for char in text:
        if escaped:
            if char not in "\\,=":
                raise SelectorError(f"invalid field selector: invalid escape sequence: \\{char}")
            result.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in ",=":
            raise SelectorError(f"invalid field selector: unescaped character in value: {ord(char)}")
        else:
            result.append(char)
    if escaped:
        raise SelectorError("invalid field selector: invalid escape sequence: \\")
    return "".join(result)


@cached()
def parse_fields(text: str) -> FieldSelector:
    """The selector that `fieldSelector=` in a query names; raises SelectorError."""
    requirements = []
    for term in _TERM.findall(text):
        match = _PARTS.fullmatch(term)
        if match is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{term}'")
        field, operator, value = match.groups()
        value = _unescape(value)
        if field or value:
            requirements.append(FieldRequirement(field, "!=" if operator == "!=" else "=", value))
    return FieldSelector(requirements) if requirements else EVERY_FIELD
