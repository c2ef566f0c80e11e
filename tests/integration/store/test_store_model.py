"""Both backends against a dictionary: any sequence of calls gives the same answers, errors included."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from tiphys.store.contract import Compacted, FutureRevision, KeyExists, KeyMissing, KeyValue, Revision, RevisionMismatch, Store
from tiphys.store.memory import MemoryStore
from tiphys.store.sqlite import Options, SqliteStore

keys = st.sampled_from(["/a", "/a/b", "/a/c", "/b", "/ä"])
prefixes = st.sampled_from(["", "/", "/a", "/a/", "/b", "/z"])
values = st.binary(max_size=4)
Outcome = tuple[str, Any]


class Model:
    """The contract on plain dictionaries, one per revision."""

    def __init__(self) -> None:
        self.states: list[dict[str, KeyValue]] = [{}]
        self.events: list[tuple[str, str, bytes, int, int, bytes | None]] = []
        self.floor = 0

    @property
    def live(self) -> dict[str, KeyValue]:
        return self.states[-1]

    def write(self, kind: str, key: str, value: bytes, expected: int | None) -> Outcome:
        current = self.live.get(key)
        if kind == "create":
            if current:
                return "KeyExists", None
        elif not current:
            return "KeyMissing", None
        elif expected is not None and expected != current.mod_revision:
            return "RevisionMismatch", current
        revision = len(self.states)
        created = current.create_revision if current else Revision(revision)
        state = dict(self.live)
        if kind == "delete":
            del state[key]
        else:
            state[key] = KeyValue(key, value, created, Revision(revision))
        self.states.append(state)
        previous = current.value if current and kind == "delete" else None
        self.events.append((kind, key, b"" if kind == "delete" else value, revision, created, previous))
        return "revision", revision

    def at(self, revision: int | None) -> dict[str, KeyValue] | Outcome:
        if revision is None:
            return self.live
        if revision >= len(self.states):
            return "FutureRevision", len(self.states) - 1
        return ("Compacted", self.floor) if revision < self.floor else self.states[revision]


async def outcome_of(call: Any) -> Outcome:
    try:
        result = await call
    except (KeyExists, KeyMissing) as error:
        return type(error).__name__, None
    except RevisionMismatch as error:
        return "RevisionMismatch", error.current
    except FutureRevision as error:
        return "FutureRevision", error.current
    except Compacted as error:
        return "Compacted", error.oldest
    return "revision", getattr(result, "revision", result)


class StoreMachine(RuleBasedStateMachine):
    revisions = Bundle("revisions")
    current: ClassVar[Any] = st.none() | st.integers(0, 30)

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "tiphys.db"
        self.runner = asyncio.Runner()
        self.model = Model()
        self.stores: list[Store] = [MemoryStore(), self.sqlite()]
        for store in self.stores:
            self.runner.run(store.start())

    def sqlite(self) -> SqliteStore:
        return SqliteStore(self.path, options=Options(compaction_batch=4, group=2))

    def teardown(self) -> None:
        for store in self.stores:
            self.runner.run(store.close())
        self.runner.close()
        self.directory.cleanup()

    def check_write(self, kind: str, key: str, value: bytes, expected: int | None) -> None:
        wanted = self.model.write(kind, key, value, expected)
        for store in self.stores:
            if kind == "create":
                call: Any = store.create(key, value)
            elif kind == "update":
                call = store.update(key, value, expected=Revision(expected or 0))
            else:
                call = store.delete(key, expected=None if expected is None else Revision(expected))
            assert self.runner.run(outcome_of(call)) == wanted

    @rule(key=keys, value=values)
    def create(self, key: str, value: bytes) -> None:
        self.check_write("create", key, value, None)

    @rule(key=keys, value=values, wrong=st.sampled_from([0, 0, 0, 1]))
    def update(self, key: str, value: bytes, wrong: int) -> None:
        current = self.model.live.get(key)
        self.check_write("update", key, value, current.mod_revision - wrong if current else 1)

    @rule(key=keys, wrong=st.sampled_from([None, 0, 1]))
    def delete(self, key: str, wrong: int | None) -> None:
        current = self.model.live.get(key)
        self.check_write("delete", key, b"", current.mod_revision - wrong if current and wrong is not None else None)

    @rule(key=keys, revision=current)
    def get(self, key: str, revision: Revision | None) -> None:
        state = self.model.at(revision)
        for store in self.stores:
            if isinstance(state, tuple):
                assert self.runner.run(outcome_of(store.get(key, revision=revision))) == state
            else:
                assert self.runner.run(store.get(key, revision=revision)) == state.get(key)

    @rule(prefix=prefixes, start=st.just("") | keys, limit=st.integers(0, 3), revision=current)
    def list(self, prefix: str, start: str, limit: int, revision: Revision | None) -> None:
        state = self.model.at(revision)
        for store in self.stores:
            call = store.list(prefix, revision=revision, start=start, limit=limit)
            if isinstance(state, tuple):
                assert self.runner.run(outcome_of(call)) == state
                continue
            page = self.runner.run(call)
            wanted = [state[key] for key in sorted(state) if key.startswith(prefix) and key >= start]
            shown = wanted[:limit] if limit else wanted
            assert ([*page.items], page.remaining, page.more) == (shown, len(wanted) - len(shown), len(wanted) > len(shown))
            assert page.revision == (len(self.model.states) - 1 if revision is None else revision)

    @rule(back=st.integers(0, 5))
    def compact(self, back: int) -> None:
        revision = max(0, len(self.model.states) - 1 - back)
        self.model.floor = max(self.model.floor, revision)
        for store in self.stores:
            self.runner.run(store.compact(Revision(revision)))

    @precondition(lambda self: self.model.events)
    @rule(prefix=prefixes, after=st.integers(0, 30))
    def watch(self, prefix: str, after: int) -> None:
        after = min(after, len(self.model.states) - 1)
        wanted = [event for event in self.model.events if event[3] > after and event[1].startswith(prefix)]
        for store in self.stores:
            assert self.runner.run(self.replay(store, prefix, after, len(wanted))) == (None if after < self.model.floor else wanted)

    async def replay(self, store: Store, prefix: str, after: int, count: int) -> Any:
        try:
            watch = await store.watch(prefix, after=Revision(after))
        except Compacted:
            return None
        seen: Any = []
        while len(seen) < count:
            for event in await asyncio.wait_for(anext(aiter(watch)), 20):
                seen.append((event.kind, event.key, event.value, event.revision, event.create_revision, event.previous))
        watch.close()
        return seen

    @rule()
    def restart(self) -> None:
        self.runner.run(self.stores[1].close())
        self.stores[1] = self.sqlite()
        self.runner.run(self.stores[1].start())

    @invariant()
    def revisions_agree(self) -> None:
        for store in self.stores:
            assert store.current_revision() == len(self.model.states) - 1


TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
