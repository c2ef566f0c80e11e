"""Choice of the images that go."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.node.make import NOW, pod
from tiphys.node.garbage.image_plan import HeldImage, ImagePolicy, ImageUse, candidates, excess, expired, observe, removable, used_ids
from tiphys.node.garbage.image_times import ImageTimes
from tiphys.node.garbage.images import references_of

GIB = 1 << 30


def image(id: str, *names: str, pinned: bool = False) -> HeldImage:
    return HeldImage(id, names or (f"example.test/{id}:1",), 100, pinned)


def ids(listed: list[HeldImage], used: set[str], times: dict[str, ImageUse]) -> list[str]:
    return [one.image.id for one in candidates(listed, used, times)]


def test_the_image_that_was_used_longest_ago_goes_first() -> None:
    images = [image("a"), image("b"), image("c"), image("d")]
    times = {"a": ImageUse(5, 30), "b": ImageUse(1, 20), "c": ImageUse(9, 0), "d": ImageUse(8, 0)}
    assert ids(images, set(), times) == ["d", "c", "b", "a"]


def test_pinned_local_and_used_images_stay() -> None:
    images = [image("a", pinned=True), image("b", "tiphys.local/busybox:1", "example.test/busybox:1"), image("c"), image("d")]
    assert ids(images, {"c"}, {}) == ["d"]


def test_an_image_is_used_by_id_tag_and_digest() -> None:
    images = [image("a"), image("b", "r/b:1", "r/b@sha256:12"), image("c")]
    assert used_ids(images, {"a", "r/b@sha256:12"}) == {"a", "b"}


def test_all_images_of_a_pod_count() -> None:
    of = pod(
        {"name": "a", "image": "i:1"},
        initContainers=[{"name": "b", "image": "i:2"}],
        ephemeralContainers=[{"name": "c", "image": "i:3"}],
        volumes=[{"name": "v", "image": {"reference": "i:4"}}, {"name": "w"}],
    )
    assert references_of([of]) == {"i:1", "i:2", "i:3", "i:4"}


def test_age_counts_from_the_last_use_or_the_arrival() -> None:
    policy = ImagePolicy(max_age=100)
    free = candidates([image("a"), image("b"), image("c")], set(), {"a": ImageUse(0, 950), "b": ImageUse(0, 800), "c": ImageUse(920, 0)})
    assert [one.image.id for one in expired(free, policy, 1000)] == ["b"]
    assert expired(free, ImagePolicy(), 1e9) == []


def test_an_image_that_has_just_come_is_not_removed_for_room() -> None:
    free = candidates([image("a"), image("b")], set(), {"a": ImageUse(NOW - 119), "b": ImageUse(NOW - 120)})
    assert [one.image.id for one in removable(free, ImagePolicy(), NOW)] == ["b"]


def test_a_disk_is_relieved_down_to_the_low_threshold() -> None:
    policy = ImagePolicy()
    assert excess(100 * GIB, 16 * GIB, policy) == 0
    assert excess(100 * GIB, 15 * GIB, policy) == 5 * GIB
    assert excess(100 * GIB, 0, policy) == 20 * GIB
    assert excess(100 * GIB, 200 * GIB, policy) == 0
    assert excess(100 * GIB, 0, ImagePolicy(high=100)) == 0


def test_images_that_were_there_before_the_first_look_may_go_at_once() -> None:
    assert observe([image("a")], set(), None, NOW) == {"a": ImageUse()}
    assert observe([image("a")], set(), {}, NOW) == {"a": ImageUse(NOW)}


def test_times_outlive_the_kubelet(tmp_path: Path) -> None:
    times = ImageTimes(tmp_path / "times")
    assert times.read() is None
    record = observe([image("a"), image("b")], {"b"}, {}, NOW)
    times.write(record)
    assert ImageTimes(tmp_path / "times").read() == record
    later = observe([image("a"), image("b")], set(), record, NOW + 10)
    assert later["b"] == ImageUse(NOW, NOW)
    (tmp_path / "times").write_text("{")
    assert times.read() is None


IDS = st.sampled_from("abcdef")


@given(
    held=st.sets(IDS),
    looks=st.lists(st.tuples(st.sets(IDS), st.floats(0, 1e6)), min_size=1, max_size=5),
    pinned=st.sets(IDS),
    max_age=st.floats(0, 1e6),
    later=st.floats(0, 1e7),
)
def test_an_image_in_use_never_goes(
    held: set[str], looks: list[tuple[set[str], float]], pinned: set[str], max_age: float, later: float
) -> None:
    images = [image(one, pinned=one in pinned) for one in sorted(held)]
    times: dict[str, ImageUse] | None = None
    for used, now in looks:
        times = observe(images, used, times, now)
    assert times is not None
    used = looks[-1][0]
    free = candidates(images, used, times)
    policy = ImagePolicy(max_age=max_age)
    gone = {one.image.id for one in (*free, *expired(free, policy, later), *removable(free, policy, later))}
    assert not gone & (used | pinned)
    assert gone == held - used - pinned
