"""Access to images that are on the node: policies, and the logins that have opened them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.node.pulls.keyring import Credential, Owner
from tiphys.node.pulls.settings import Policy
from tiphys.node.pulls.verification import MANY, PulledRecord, bare_name, judge, must_verify, pattern_error, recorded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = "r.test/a:1"


def login(password: str, name: str = "s", uid: str = "u") -> Credential:
    return Credential(username="u", password=password, secret=Owner(uid, "default", name))


def pulled(*used: Credential | None) -> PulledRecord:
    record = None
    for one in used:
        record = recorded(record, "sha256:1", IMAGE, one, NOW)
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("policy", "was_pulled", "expected"),
    [
        ("NeverVerify", True, False),
        ("NeverVerifyPreloadedImages", True, True),
        ("NeverVerifyPreloadedImages", False, False),
        ("AlwaysVerify", False, True),
        ("NeverVerifyAllowlistedImages", True, True),
    ],
)
def test_policies(policy: Policy, was_pulled: bool, expected: bool) -> None:
    assert must_verify(policy, (), IMAGE, was_pulled=was_pulled) is expected


@pytest.mark.parametrize(
    ("entry", "listed"),
    [("r.test/a", True), ("r.test/*", True), ("r.test/b", False), ("r.test/a/*", False), ("r.tes", False)],
)
def test_the_allowlist_goes_by_the_name_without_tag(entry: str, listed: bool) -> None:
    assert must_verify("NeverVerifyAllowlistedImages", (entry,), IMAGE, was_pulled=True) is not listed


def test_names_without_tag_and_digest() -> None:
    assert bare_name("r.test:5000/a/b:1@sha256:" + "a" * 64) == "r.test:5000/a/b"
    assert bare_name("r.test:5000/a") == "r.test:5000/a"
    assert bare_name("busybox:1") == "busybox"


@pytest.mark.parametrize(("pattern", "good"), [("a/b", True), ("a/*", True), ("*", False), ("a/*/b", False), ("a:1", False), ("/*", False)])
def test_patterns_of_the_allowlist(pattern: str, good: bool) -> None:
    assert (pattern_error(pattern) == "") is good


def test_an_image_of_nobody_known_opens_for_nobody() -> None:
    assert not judge(None, IMAGE, [login("p")]).allowed
    unknown = recorded(None, "sha256:1", IMAGE, None, NOW, known=False)
    assert not judge(unknown, IMAGE, [login("p")]).allowed


def test_an_image_pulled_without_login_or_with_the_node_s_opens_for_all() -> None:
    assert judge(pulled(None), IMAGE, []).allowed
    assert judge(pulled(Credential(password="p", place="config.json")), IMAGE, []).allowed
    assert judge(pulled(login("p"), None), IMAGE, []).allowed


def test_an_image_pulled_with_a_secret_opens_for_that_secret_and_for_its_login() -> None:
    record = pulled(login("p"))
    assert not judge(record, IMAGE, []).allowed
    assert not judge(record, IMAGE, [login("other", "t", "v")]).allowed
    assert not judge(record, "other.test/a:1", [login("p")]).allowed, "the same image under another name was never pulled"
    same = judge(record, "r.test/a:2", [login("p")])
    assert same.allowed
    assert same.learned is None
    rotated = judge(record, IMAGE, [login("new")])
    assert rotated.allowed
    assert rotated.learned == login("new")
    shared = judge(record, IMAGE, [login("p", "t", "v")])
    assert shared.allowed
    assert shared.learned == login("p", "t", "v")


def test_a_long_list_of_owners_does_not_grow_by_looking() -> None:
    record = pulled(*(login("p", f"s{number}", f"u{number}") for number in range(MANY)))
    verdict = judge(record, IMAGE, [login("p", "more", "more")])
    assert verdict.allowed
    assert verdict.learned is None


@given(st.lists(st.sampled_from([login("a"), login("b"), login("a", "t", "v"), None]), min_size=1, max_size=6))
def test_an_owner_may_use_it_again_and_a_repeated_record_is_the_same(used: list[Credential | None]) -> None:
    record = pulled(*used)
    last = used[-1]
    assert judge(record, IMAGE, [last] if last else []).allowed
    assert recorded(record, "sha256:1", IMAGE, last, datetime(2026, 2, 1, tzinfo=UTC)) is record
