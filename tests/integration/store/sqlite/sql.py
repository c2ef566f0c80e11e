"""One statement on a database file that no store has open."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


async def execute(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Run the statement, commit, and return its rows."""

    def run() -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as db, db:
            return db.execute(statement).fetchall()

    return await asyncio.to_thread(run)
