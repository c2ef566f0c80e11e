from pathlib import Path

import pytest

from tiphys.store.contract import StoreError
from tiphys.store.memory import MemoryStore
from tiphys.store.open import open_store
from tiphys.store.sqlite import SqliteStore


def test_the_url_picks_the_backend(tmp_path: Path) -> None:
    assert isinstance(open_store("memory://"), MemoryStore)
    store = open_store(f"sqlite://{tmp_path}/tiphys.db")
    assert isinstance(store, SqliteStore)
    assert store.path == f"{tmp_path}/tiphys.db"
    relative = open_store("sqlite:data/tiphys.db")
    assert isinstance(relative, SqliteStore)
    assert relative.path == str(Path.cwd() / "data/tiphys.db")


@pytest.mark.parametrize("url", ["", "sqlite", "sqlite:", "sqlite://", "sqlite://host/path", "postgres://x", "/x.db", "memory:x"])
def test_other_urls_name_the_forms_that_work(url: str) -> None:
    with pytest.raises(StoreError, match="sqlite:///path"):
        open_store(url)
