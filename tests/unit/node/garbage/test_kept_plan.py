"""Choice of the logs of deleted pods that go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tiphys.node.garbage.kept_plan import KeptFile, KeptPod, Surplus, surplus


def kept(path: str, deleted: float, *sizes: int) -> KeptPod:
    return KeptPod(path, deleted, tuple(KeptFile(f"{path}/main/{place}.log", size, place) for place, size in enumerate(sizes)))


def gone(*pods: KeptPod, age: float = 100, size: int = 100, now: float = 1000) -> Surplus:
    return surplus(pods, max_age=age, max_bytes=size, now=now)


def test_old_and_empty_ones_go() -> None:
    assert gone(kept("a", 899, 1), kept("b", 900, 1), kept("c", 1000)) == Surplus(("a", "c"))


def test_the_oldest_pods_go_until_the_rest_fits() -> None:
    pods = (kept("c", 990, 40), kept("a", 970, 40), kept("b", 980, 50))
    assert gone(*pods, size=90) == Surplus(("a",))
    assert gone(*pods, size=130) == Surplus()


def test_of_one_pod_the_oldest_files_go() -> None:
    assert gone(kept("a", 970, 40), kept("b", 990, 60, 60, 60), size=100) == Surplus(("a",), ("b/main/0.log", "b/main/1.log"))


PODS = st.lists(st.tuples(st.floats(0, 1000), st.lists(st.integers(0, 50), max_size=4)), max_size=6).map(
    lambda listed: [kept(f"p{place}", deleted, *sizes) for place, (deleted, sizes) in enumerate(listed)]
)


@given(pods=PODS, age=st.floats(0, 1000), size=st.integers(0, 200))
def test_the_rest_fits_and_nothing_newer_than_it_goes(pods: list[KeptPod], age: float, size: int) -> None:
    plan = gone(*pods, age=age, size=size)
    left = {pod.path: [file for file in pod.files if file.path not in plan.files] for pod in pods if pod.path not in plan.pods}
    assert sum(file.size for files in left.values() for file in files) <= size
    young = [pod for pod in pods if 1000 - pod.deleted <= age and pod.files]
    lost = [pod.deleted for pod in young if pod.path in plan.pods]
    stay = [pod.deleted for pod in young if pod.path in left]
    assert not lost or not stay or max(lost) <= min(stay)
