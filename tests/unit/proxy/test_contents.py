"""Changes, Service by Service, end at the same table as making it anew, and every command of a change is possible when it comes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.proxy.make import piece, plan, port, service
from tiphys.api.core import v1 as core
from tiphys.proxy.contents import Contents
from tiphys.proxy.rules import EMPTY, Part, change_script, part_of
from tiphys.runtime.key import Key

PODS = "10.42.0.0/16"


class Table:
    """Table that nft would hold after these commands; asserts that each is possible."""

    def __init__(self) -> None:
        self.chains: dict[str, list[str]] = {"refuse": []}
        self.sets: dict[str, str] = {}
        self.elements: dict[tuple[str, str], str] = {}

    def apply(self, script: str) -> None:
        for line in script.splitlines():
            verb, kind, _, _, name, *rest = line.split(" ", 5)
            getattr(self, f"_{verb}_{kind}")(name, rest[0] if rest else "")

    def _add_set(self, name: str, rest: str) -> None:
        assert name not in self.sets
        self.sets[name] = rest

    def _delete_set(self, name: str, _: str) -> None:
        assert not [rule for rules in self.chains.values() for rule in rules if f"@{name}" in rule]
        del self.sets[name]

    def _add_chain(self, name: str, _: str) -> None:
        assert name not in self.chains
        self.chains[name] = []

    def _flush_chain(self, name: str, _: str) -> None:
        self.chains[name].clear()

    def _add_rule(self, name: str, rule: str) -> None:
        words = rule.replace(",", " ").split()
        for at, word in enumerate(words):
            if word == "goto":
                assert words[at + 1] in self.chains
            if word.startswith("@"):
                assert word[1:] in self.sets
        self.chains[name].append(rule)

    def _delete_chain(self, name: str, _: str) -> None:
        assert not self.chains.pop(name)
        users = [rule for rules in self.chains.values() for rule in rules] + list(self.elements.values())
        assert not [user for user in users if f"goto {name}" in user]

    def _items(self, name: str, rest: str) -> list[tuple[tuple[str, str], str]]:
        parts = [part.strip().partition(" : ") for part in rest.strip("{} ").split(",")]
        return [((name, key), value) for key, _, value in parts]

    def _add_element(self, name: str, rest: str) -> None:
        for element, value in self._items(name, rest):
            assert element not in self.elements
            assert not value.startswith("goto ") or value[5:] in self.chains
            self.elements[element] = value

    def _delete_element(self, name: str, rest: str) -> None:
        for element, value in self._items(name, rest):
            assert self.elements.pop(element) == value


@st.composite
def parts(draw: st.DrawFn) -> tuple[Key, Part]:
    number = draw(st.integers(0, 3))
    key = Key("default", f"s{number}")
    if draw(st.booleans()) and draw(st.booleans()):
        return key, EMPTY
    made = service(
        key.name,
        ip=f"10.43.0.{20 + number}",
        type="NodePort",
        ports=[port(node_port=30000 + number), port(81, name="b")],
        externalIPs=draw(st.lists(st.sampled_from(["192.0.2.7", "192.0.2.8"]), unique=True)),
        sessionAffinity=draw(st.sampled_from(["None", "ClientIP"])),
        sessionAffinityConfig=core.SessionAffinityConfig(clientIP=core.ClientIPConfig(timeoutSeconds=draw(st.integers(1, 2)))),
        externalTrafficPolicy=draw(st.sampled_from(["Local", "Cluster"])),
        internalTrafficPolicy=draw(st.sampled_from(["Local", "Cluster"])),
    )
    addresses = st.lists(st.sampled_from([f"10.42.0.{last}" for last in range(2, 7)]), unique=True)
    pieces = [piece(*draw(addresses), node=draw(st.sampled_from(["n1", "n2"]))), piece(*draw(addresses), name="b", number=81)]
    return key, part_of(plan(made, *pieces), PODS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(parts(), max_size=4).map(dict), max_size=12))
def test_changes_lead_where_a_new_table_would(rounds: list[dict[Key, Part]]) -> None:
    contents, table = Contents(), Table()
    for changes in rounds:
        old, new = contents.change(changes)
        table.apply(change_script("t", old, new))
        fresh = Table()
        fresh.apply(change_script("t", EMPTY, contents.whole()))
        assert table.chains == fresh.chains
        assert table.sets == fresh.sets
        assert table.elements == fresh.elements


def test_of_two_claims_the_first_by_name_counts_and_the_other_takes_over() -> None:
    contents = Contents()
    element = ("services", "192.0.2.7 . tcp . 80")
    first, second = Key("default", "a"), Key("default", "b")
    contents.change({second: Part(elements={element: "goto b"})})
    old, new = contents.change({first: Part(elements={element: "goto a"})})
    assert (old.elements, new.elements) == ({element: "goto b"}, {element: "goto a"})
    old, new = contents.change({first: EMPTY})
    assert (old.elements, new.elements) == ({element: "goto a"}, {element: "goto b"})
    old, new = contents.change({second: EMPTY})
    assert (old.elements, new.elements) == ({element: "goto b"}, {})


def test_a_change_costs_what_changed() -> None:
    contents = Contents()
    for number in range(50):
        key = Key("default", f"s{number}")
        contents.change({key: part_of(plan(service(key.name, ip=f"10.43.1.{number}"), piece(f"10.42.0.{number + 2}")), PODS)})
    changed = part_of(plan(service("s7", ip="10.43.1.7"), piece("10.42.0.99")), PODS)
    old, new = contents.change({Key("default", "s7"): changed})
    script = change_script("t", old, new)
    assert sorted({tuple(line.split()[:2]) for line in script.splitlines()}) == [
        ("add", "element"),
        ("add", "rule"),
        ("delete", "element"),
        ("flush", "chain"),
    ]
    assert len(script.splitlines()) == 4
