"""The order of the keys is kept lazily; whatever the mix of writes and lists, it must come out as a sort of what is live."""

from hypothesis import given
from hypothesis import strategies as st

from tiphys.store.sqlite.index import Index

keys = st.text(alphabet="ab/\U0010ffffä", max_size=4)
steps = st.lists(st.tuples(st.sampled_from(["set", "remove", "list"]), keys, keys))


@given(steps)
def test_keys_are_those_live_in_order(steps: list[tuple[str, str, str]]) -> None:
    index = Index()
    live: set[str] = set()
    for number, (step, key, start) in enumerate(steps):
        if step == "set":
            index.set(key, (number, number, None))
            live.add(key)
        elif step == "remove":
            index.set(key, None)
            live.discard(key)
        assert index.live.keys() == live
        if step == "list":
            assert index.keys(key, start) == sorted(each for each in live if each.startswith(key) and each >= start)


def test_changes_noted_do_not_pile_up_when_nobody_lists() -> None:
    index = Index()
    index.keys("", "")
    for number in range(50_000):
        index.set(f"/{number}", (number, number, None))
        index.set(f"/{number}", None)
    assert len(index._fresh) + len(index._stale) <= 10_000
    assert index.keys("", "") == []
