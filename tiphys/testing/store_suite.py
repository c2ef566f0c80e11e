"""The contract of stores as tests: a new backend subclasses `StoreSuite`, gives `make_store`, and passes.

    class TestMine(StoreSuite):
        def make_store(self, directory: Path) -> Store:
            return MyStore(directory / "data", tick=0.02)

For readable failures: `pytest.register_assert_rewrite("tiphys.testing.store_suite")` in conftest.py. Needs pytest and pytest-asyncio (mode
auto).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tiphys.store.contract import (
    Compacted,
    Event,
    FutureRevision,
    KeyExists,
    KeyMissing,
    KeyValue,
    Revision,
    RevisionMismatch,
    Store,
    StoreClosed,
    Watch,
)


async def take(watch: Watch, count: int, *, timeout: float = 20.0) -> Sequence[Event]:
    """The next `count` events of a watch; fails if a batch is empty or brings more than that."""
    events: list[Event] = []

    async def collect() -> None:
        iterator = aiter(watch)
        while len(events) < count:
            batch = await anext(iterator)
            assert batch, "a watch must not yield empty batches"
            events.extend(batch)

    await asyncio.wait_for(collect(), timeout)
    assert len(events) == count
    return events


def keys_of(items: Sequence[KeyValue]) -> Sequence[str]:
    return [item.key for item in items]


class StoreSuite:
    """The store comes with a tick (pause between looks at deadlines) of at most 0.1 s, so that the tests for deadlines are quick."""

    def make_store(self, directory: Path) -> Store:
        """A new store, not started, with its data (if any) in `directory`; called again, the store after a restart."""
        raise NotImplementedError

    watch_buffer = 1500
    """Number of unread events that the store keeps for a watch."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = self.make_store(tmp_path)
        await store.start()
        yield store
        await store.close()

    # Writes and their conflicts

    async def test_create_then_get(self, store: Store) -> None:
        before = store.current_revision()
        revision = await store.create("/a", b"one")
        assert revision == before + 1 == store.current_revision()
        assert await store.get("/a") == KeyValue("/a", b"one", revision, revision)
        assert await store.get("/b") is None

    async def test_create_of_an_existing_key_changes_nothing(self, store: Store) -> None:
        revision = await store.create("/a", b"one")
        with pytest.raises(KeyExists):
            await store.create("/a", b"two")
        assert store.current_revision() == revision
        assert await store.get("/a") == KeyValue("/a", b"one", revision, revision)

    async def test_update_needs_the_right_revision(self, store: Store) -> None:
        first = await store.create("/a", b"one")
        second = await store.update("/a", b"two", expected=first)
        assert second == first + 1
        assert await store.get("/a") == KeyValue("/a", b"two", first, second)
        with pytest.raises(RevisionMismatch) as stale:
            await store.update("/a", b"three", expected=first)
        assert stale.value.current == KeyValue("/a", b"two", first, second)
        with pytest.raises(KeyMissing):
            await store.update("/b", b"", expected=first)
        assert store.current_revision() == second

    async def test_delete_returns_what_was_there(self, store: Store) -> None:
        first = await store.create("/a", b"one")
        second = await store.update("/a", b"two", expected=first)
        with pytest.raises(RevisionMismatch) as stale:
            await store.delete("/a", expected=first)
        assert stale.value.current.mod_revision == second
        event = await store.delete("/a", expected=second)
        assert event == Event("delete", "/a", b"", Revision(second + 1), first, b"two")
        assert await store.get("/a") is None
        with pytest.raises(KeyMissing):
            await store.delete("/a")

    async def test_a_key_may_live_again(self, store: Store) -> None:
        first = await store.create("/a", b"one")
        await store.delete("/a")
        again = await store.create("/a", b"two")
        assert await store.get("/a") == KeyValue("/a", b"two", again, again)
        with pytest.raises(RevisionMismatch):
            await store.update("/a", b"three", expected=first)

    async def test_of_concurrent_creates_one_wins(self, store: Store) -> None:
        results = await asyncio.gather(*(store.create("/a", b"%d" % number) for number in range(20)), return_exceptions=True)
        assert sum(isinstance(result, KeyExists) for result in results) == 19

    async def test_of_concurrent_updates_one_wins(self, store: Store) -> None:
        first = await store.create("/a", b"")
        results = await asyncio.gather(
            *(store.update("/a", b"%d" % number, expected=first) for number in range(20)), return_exceptions=True
        )
        lost = [result for result in results if isinstance(result, RevisionMismatch)]
        assert len(lost) == 19
        winner = next(number for number, result in enumerate(results) if isinstance(result, int))
        current = await store.get("/a")
        assert current is not None
        assert current.value == b"%d" % winner
        assert all(result.current == current for result in lost)

    async def test_counters_under_contention_lose_no_increment(self, store: Store) -> None:
        await store.create("/n", b"0")

        async def increment() -> None:
            for _ in range(10):
                current = await store.get("/n")
                while current is not None:
                    try:
                        await store.update("/n", b"%d" % (int(current.value) + 1), expected=current.mod_revision)
                        break
                    except RevisionMismatch as error:
                        current = error.current

        await asyncio.gather(*(increment() for _ in range(8)))
        final = await store.get("/n")
        assert final is not None
        assert final.value == b"80"

    async def test_values_are_kept_byte_by_byte(self, store: Store) -> None:
        values = [b"", b"\0", bytes(range(256)), b"x" * 1_500_000]
        for number, value in enumerate(values):
            await store.create(f"/v/{number}", value)
        assert [item.value for item in (await store.list("/v/")).items] == values

    async def test_a_cancelled_write_leaves_the_store_usable(self, store: Store) -> None:
        task = asyncio.create_task(store.create("/a", b"one"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await store.create("/b", b"two")
        assert await store.get("/b") is not None

    async def test_an_empty_key_is_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="empty"):
            await store.create("", b"")

    # Lists

    async def test_list_is_in_byte_order_and_limited_to_the_prefix(self, store: Store) -> None:
        for key in ["/p/b", "/p/a", "/p/ä", "/p/€", "/p/𐍈", "/p/a/b", "/p/a-b", "/pp", "/o", "/q"]:
            await store.create(key, key.encode())
        page = await store.list("/p/")
        assert keys_of(page.items) == sorted(["/p/b", "/p/a", "/p/ä", "/p/€", "/p/𐍈", "/p/a/b", "/p/a-b"], key=str.encode)
        assert all(item.value == item.key.encode() for item in page.items)
        assert (page.revision, page.more, page.remaining) == (store.current_revision(), False, 0)
        assert len((await store.list("")).items) == 10
        assert not (await store.list("/nothing")).items

    async def test_pages_join_up_to_the_list(self, store: Store) -> None:
        for number in range(25):
            await store.create(f"/p/{number:02d}", b"")
        await store.create("/q", b"")
        seen: list[str] = []
        page = await store.list("/p/", limit=10)
        assert (page.more, page.remaining) == (True, 15)
        at = page.revision
        await store.create("/p/05-later", b"")
        await store.delete("/p/20")
        seen += keys_of(page.items)
        while page.more:
            page = await store.list("/p/", revision=at, start=seen[-1] + "\0", limit=10)
            assert page.revision == at
            seen += keys_of(page.items)
        assert seen == [f"/p/{number:02d}" for number in range(25)]
        assert page.remaining == 0

    async def test_a_limit_that_is_reached_exactly_leaves_nothing(self, store: Store) -> None:
        for number in range(3):
            await store.create(f"/p/{number}", b"")
        page = await store.list("/p/", limit=3)
        assert (len(page.items), page.more, page.remaining) == (3, False, 0)

    async def test_start_outside_the_prefix(self, store: Store) -> None:
        await store.create("/p/1", b"")
        assert keys_of((await store.list("/p/", start="/a")).items) == ["/p/1"]
        assert not (await store.list("/p/", start="/z")).items

    async def test_lists_follow_creates_and_deletes(self, store: Store) -> None:
        expected = set()
        for number in range(60):
            await store.create(f"/p/{number * 37 % 60:02d}", b"")
            expected.add(f"/p/{number * 37 % 60:02d}")
            if number % 3 == 0:
                gone = min(expected)
                await store.delete(gone)
                expected.remove(gone)
            if number % 7 == 0:
                assert keys_of((await store.list("/p/")).items) == sorted(expected)
        assert keys_of((await store.list("/p/")).items) == sorted(expected)

    # The past

    async def test_reads_at_every_past_revision(self, store: Store) -> None:
        model: dict[str, KeyValue] = {}
        states = {store.current_revision(): dict(model)}
        for number in range(40):
            key = f"/p/{number * 7 % 5}"
            current = model.get(key)
            if current is None:
                revision = await store.create(key, b"%d" % number)
                model[key] = KeyValue(key, b"%d" % number, revision, revision)
            elif number % 3 == 0:
                revision = (await store.delete(key)).revision
                del model[key]
            else:
                revision = await store.update(key, b"%d" % number, expected=current.mod_revision)
                model[key] = KeyValue(key, b"%d" % number, current.create_revision, revision)
            states[revision] = dict(model)
        for revision, state in states.items():
            page = await store.list("/p/", revision=revision)
            assert (list(page.items), page.revision) == ([state[key] for key in sorted(state)], revision)
            for key in ["/p/0", "/p/1", "/p/2", "/p/3", "/p/4"]:
                assert await store.get(key, revision=revision) == state.get(key)

    async def test_the_future_is_unknown(self, store: Store) -> None:
        revision = await store.create("/a", b"")
        with pytest.raises(FutureRevision) as future:
            await store.get("/a", revision=Revision(revision + 1))
        assert future.value.current == revision
        with pytest.raises(FutureRevision):
            await store.list("/", revision=Revision(revision + 1))
        with pytest.raises(FutureRevision):
            await store.compact(Revision(revision + 1))

    async def test_compaction_forgets_the_past_and_keeps_the_live(self, store: Store) -> None:
        first = await store.create("/a", b"one")
        await store.create("/gone", b"")
        await store.delete("/gone")
        still = await store.create("/still", b"")
        second = await store.update("/a", b"two", expected=first)
        third = await store.update("/a", b"three", expected=second)
        await store.compact(second)
        with pytest.raises(Compacted) as forgotten:
            await store.get("/a", revision=first)
        assert forgotten.value.oldest == second
        with pytest.raises(Compacted):
            await store.list("/", revision=still)
        assert await store.get("/a", revision=second) == KeyValue("/a", b"two", first, second)
        assert await store.get("/a") == KeyValue("/a", b"three", first, third)
        assert keys_of((await store.list("/", revision=second)).items) == ["/a", "/still"]
        with pytest.raises(Compacted):
            await store.watch("/", after=first)
        watch = await store.watch("/", after=second)
        assert [event.revision for event in await take(watch, 1)] == [third]
        watch.close()
        await store.compact(first)  # forgotten already

    async def test_compaction_up_to_now_and_on(self, store: Store) -> None:
        for number in range(30):
            revision = await store.create(f"/{number}", b"")
            await store.update(f"/{number}", b"new", expected=revision)
        for number in range(0, 30, 2):
            await store.delete(f"/{number}")
        now = store.current_revision()
        await store.compact(now)
        assert store.current_revision() == now
        assert len((await store.list("/", revision=now)).items) == 15
        assert await store.create("/next", b"") == now + 1

    # Watches

    async def test_a_watch_sees_each_write_once_and_in_order(self, store: Store) -> None:
        start = store.current_revision()
        watch = await store.watch("/p/", after=start)
        first = await store.create("/p/a", b"one")
        await store.create("/other", b"")
        second = await store.update("/p/a", b"two", expected=first)
        third = (await store.delete("/p/a")).revision
        assert await take(watch, 3) == [
            Event("create", "/p/a", b"one", first, first),
            Event("update", "/p/a", b"two", second, first),
            Event("delete", "/p/a", b"", third, first, b"two"),
        ]
        watch.close()

    async def test_a_watch_replays_from_any_known_revision(self, store: Store) -> None:
        start = store.current_revision()
        first = await store.create("/p/a", b"one")
        second = await store.update("/p/a", b"two", expected=first)
        third = (await store.delete("/p/a")).revision
        everything = [
            Event("create", "/p/a", b"one", first, first),
            Event("update", "/p/a", b"two", second, first),
            Event("delete", "/p/a", b"", third, first, b"two"),
        ]
        for skipped in range(3):
            watch = await store.watch("/p/", after=Revision(start + skipped))
            assert await take(watch, 3 - skipped) == everything[skipped:]
            watch.close()

    async def test_a_watch_from_the_future_leaves_out_what_is_before(self, store: Store) -> None:
        now = store.current_revision()
        watch = await store.watch("/", after=Revision(now + 2))
        for number in range(3):
            await store.create(f"/{number}", b"")
        assert [event.key for event in await take(watch, 1)] == ["/2"]
        watch.close()

    async def test_joining_under_concurrent_writes_has_no_gap_and_no_repeat(self, store: Store) -> None:
        start = store.current_revision()
        total = 1200
        watches: list[tuple[Revision, str, asyncio.Task[Sequence[Event]]]] = []
        written = 0
        progress = asyncio.Event()  # set for a moment at every twentieth write

        async def write(writer: int) -> None:
            nonlocal written
            for number in range(total // 8):
                key = f"/{'even' if writer % 2 == 0 else 'odd'}/{writer}-{number}"
                await store.create(key, key.encode())
                written += 1
                if written % 20 == 0:
                    progress.set()
                    progress.clear()
                await asyncio.sleep(0)

        async def follow(prefix: str, after: Revision) -> Sequence[Event]:
            watch = await store.watch(prefix, after=after)
            events: list[Event] = []
            async for batch in watch:
                assert batch
                events.extend(batch)
                if events[-1].revision > start + total:
                    break
            watch.close()
            return events

        async def join() -> None:
            while written < total:
                for prefix in ("/", "/even/"):
                    for after in (start, Revision(store.current_revision() // 2), store.current_revision()):
                        watches.append((after, prefix, asyncio.create_task(follow(prefix, after))))
                if len(watches) >= 120:
                    break
                await progress.wait()

        await asyncio.gather(join(), *(write(writer) for writer in range(8)))
        assert len(watches) > 6, "no watch joined while writes went on"
        await store.create("/even/last", b"")
        for after, prefix, task in watches:
            events = await asyncio.wait_for(task, 20)
            revisions = [event.revision for event in events]
            assert revisions == sorted(set(revisions))
            if prefix == "/":
                assert revisions == list(range(max(after, start) + 1, start + total + 2))
            assert all(event.key.startswith(prefix) and event.kind == "create" for event in events)
            assert all(event.value == event.key.encode() for event in events[:-1])
        sizes = {(after, prefix): len(await task) for after, prefix, task in watches}
        assert sizes[start, "/even/"] == total // 2 + 1

    async def test_a_watch_that_is_not_read_is_dropped_and_hurts_nobody(self, store: Store) -> None:
        lazy = await store.watch("/", after=store.current_revision())
        awake = await store.watch("/p/1", after=store.current_revision())
        total = self.watch_buffer + 300
        for at in range(0, total, 300):
            await asyncio.gather(*(store.create(f"/p/{number}", b"") for number in range(at, at + 300)))
            await take(awake, 0)
        with pytest.raises(Compacted):
            async for _ in lazy:
                pass
        with pytest.raises(StopAsyncIteration):
            await anext(aiter(lazy))
        assert (await anext(aiter(awake)))[0].key == "/p/1"
        awake.close()

    async def test_a_closed_watch_ends(self, store: Store) -> None:
        watch = await store.watch("/", after=store.current_revision())
        waiting = asyncio.ensure_future(anext(aiter(watch), None))
        await asyncio.sleep(0)
        watch.close()
        watch.close()
        assert await asyncio.wait_for(waiting, 5) is None
        await store.create("/a", b"")
        assert [batch async for batch in watch] == []

    async def test_a_cancelled_read_of_a_watch_loses_nothing(self, store: Store) -> None:
        watch = await store.watch("/", after=store.current_revision())
        waiting = asyncio.ensure_future(anext(aiter(watch)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await store.create("/a", b"")
        assert [event.key for event in await take(watch, 1)] == ["/a"]
        watch.close()

    # Time to live

    async def test_a_key_with_a_time_to_live_is_deleted_as_usual(self, store: Store) -> None:
        watch = await store.watch("/", after=store.current_revision())
        created = await store.create("/short", b"one", ttl=0.05)
        await store.create("/long", b"", ttl=3600)
        updated = await store.update("/short", b"two", expected=created)
        events = await take(watch, 4)
        assert events[-1] == Event("delete", "/short", b"", Revision(updated + 1), created, b"two")
        assert await store.get("/short") is None
        assert await store.get("/long") is not None
        watch.close()

    async def test_the_deadline_ends_with_the_life_of_the_key(self, store: Store) -> None:
        await store.create("/a", b"", ttl=0.05)
        await store.delete("/a")
        await store.create("/a", b"stays")
        created = await store.create("/b", b"", ttl=0.1)
        watch = await store.watch("/b", after=created)
        assert [event.kind for event in await take(watch, 1)] == ["delete"]
        watch.close()
        assert await store.get("/a") is not None

    # Beginning and end

    async def test_nothing_works_before_the_start_and_after_the_end(self, tmp_path: Path) -> None:
        store = self.make_store(tmp_path)
        with pytest.raises(StoreClosed):
            await store.create("/a", b"")
        await store.start()
        await store.create("/a", b"")
        await store.close()
        await store.close()
        with pytest.raises(StoreClosed):
            await store.create("/b", b"")
        with pytest.raises(StoreClosed):
            await store.get("/a")
        with pytest.raises(StoreClosed):
            await store.list("/")
        with pytest.raises(StoreClosed):
            await store.watch("/", after=Revision(0))

    async def test_closing_finishes_writes_and_ends_watches(self, tmp_path: Path) -> None:
        store = self.make_store(tmp_path)
        await store.start()
        watch = await store.watch("/", after=store.current_revision())
        writes = [asyncio.ensure_future(store.create(f"/{number}", b"")) for number in range(100)]
        await asyncio.sleep(0)
        await store.close()
        assert sorted(await asyncio.gather(*writes)) == list(range(1, 101))
        assert [event.revision async for batch in watch for event in batch] == list(range(1, 101))


class EmbeddedStoreSuite(StoreSuite):
    """Promises of a store in this very process beyond the contract."""

    async def test_calls_take_effect_in_the_order_in_which_they_are_made(self, store: Store) -> None:
        results = await asyncio.gather(store.create("/a", b"1"), store.delete("/a"), store.create("/a", b"2"), store.delete("/a"))
        assert [result.previous for result in results if isinstance(result, Event)] == [b"1", b"2"]
        assert await store.get("/a") is None

    async def test_the_event_is_there_when_the_write_returns(self, store: Store) -> None:
        watch = await store.watch("/", after=store.current_revision())
        await store.create("/a", b"")
        batch = asyncio.ensure_future(anext(aiter(watch)))
        await asyncio.sleep(0)
        assert [event.key for event in batch.result()] == ["/a"]
        watch.close()
