"""Results on this machine's disk: one SQLite file that several processes may share."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from anyio import to_thread

from services.chassis.cache.failures import CacheFailures

_log = logging.getLogger(__name__)

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, bytes INTEGER NOT NULL, used_at REAL NOT NULL, expires_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS by_use ON kept (used_at, bytes);
"""
_PATIENCE_S = 2.0
_USE_NOTED_EVERY_S = 60.0
"""A read is only written down when the last one was so long ago: reads should not have to write."""

_ROW_BYTES = 200
"""What a result takes on disk beside itself and its key."""

_ROOM_LEFT = 0.1
"""Share of the room that is made when there is none, so that it is not made with every result."""


class DiskCache:
    """The least recently used results make room. A disk that is full, read-only or damaged is a miss, told once."""

    def __init__(
        self,
        file: Path,
        max_bytes: int,
        ttl_s: float,
        failures: CacheFailures,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._failures = failures
        self._now = now
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._failing = False
        self._estimate_bytes = max_bytes
        """What all results take, or more: it is counted only when this reaches the limit."""

    async def get(self, key: str) -> bytes | None:
        """Return what was kept, or None."""
        return await to_thread.run_sync(self._tried, "get", lambda db: self._get(db, key))

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what was kept under each of `keys`."""
        found = await to_thread.run_sync(self._tried, "get", lambda db: [self._get(db, key) for key in keys])
        return [None] * len(keys) if found is None else found

    async def put(self, key: str, value: bytes) -> None:
        """Keep `value`; what would take more than half of the room is not kept."""
        if 2 * len(value) <= self._max_bytes:
            await to_thread.run_sync(self._tried, "put", lambda db: self._put(db, key, value))

    async def remove(self, prefix: str) -> int:
        """Drop everything whose key begins with `prefix`, and return how much that was."""
        return await to_thread.run_sync(self._tried, "remove", lambda db: _remove(db, prefix)) or 0

    async def expire(self) -> int:
        """Drop what is out of date, and return how much that was."""
        return await to_thread.run_sync(self._tried, "expire", lambda db: _expire(db, self._now())) or 0

    async def close(self) -> None:
        """Close the file."""
        await to_thread.run_sync(self._close)

    def _tried(self, operation: str, work: Callable[[sqlite3.Connection], T]) -> T | None:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _opened(self._file)
                with self._connection:
                    done = work(self._connection)
            except (sqlite3.Error, OSError) as error:
                self._failures.count("disk", operation)
                if not self._failing:
                    _log.warning("going on without the cache in %s: %s", self._file, error)
                self._failing = True
                self._drop(error)
                return None
            self._failing = False
            return done

    def _drop(self, error: Exception) -> None:
        """Close the file after a failure, and remove one that is damaged: the next request makes a new one."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        if type(error) is sqlite3.DatabaseError:  # "not a database", "malformed"; all others are subclasses
            for suffix in ("", "-wal", "-shm"):
                with suppress(OSError):
                    self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)

    def _close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _get(self, db: sqlite3.Connection, key: str) -> bytes | None:
        found = db.execute("SELECT value, used_at, expires_at FROM kept WHERE key = ?", (key,)).fetchone()
        if found is None or found[2] <= self._now():
            return None
        if self._now() - found[1] > _USE_NOTED_EVERY_S:
            db.execute("UPDATE kept SET used_at = ? WHERE key = ?", (self._now(), key))
        return bytes(found[0])

    def _put(self, db: sqlite3.Connection, key: str, value: bytes) -> None:
        now = self._now()
        taken_bytes = len(value) + len(key) + _ROW_BYTES
        db.execute(
            "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?)", (key, value, taken_bytes, now, now + self._ttl_s)
        )
        self._estimate_bytes += taken_bytes
        if self._estimate_bytes > self._max_bytes:
            _expire(db, now)
            [(total,)] = db.execute("SELECT sum(bytes) FROM kept")
            if total > self._max_bytes:
                self._make_room(db, total - round((1 - _ROOM_LEFT) * self._max_bytes))
            self._estimate_bytes = min(total, round((1 - _ROOM_LEFT) * self._max_bytes))

    def _make_room(self, db: sqlite3.Connection, surplus_bytes: int) -> None:
        for key, size in db.execute("SELECT key, bytes FROM kept ORDER BY used_at").fetchall():
            if surplus_bytes <= 0:
                return
            db.execute("DELETE FROM kept WHERE key = ?", (key,))
            surplus_bytes -= size


def _opened(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(file, timeout=_PATIENCE_S, check_same_thread=False)
    # What a crash may lose is made again; readers and one writer do not wait for each other.
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA secure_delete=ON")  # what is removed with its owner's voice is gone
    db.executescript(_SCHEMA)
    return db


def _remove(db: sqlite3.Connection, prefix: str) -> int:
    return db.execute("DELETE FROM kept WHERE substr(key, 1, ?) = ?", (len(prefix), prefix)).rowcount


def _expire(db: sqlite3.Connection, now: float) -> int:
    return db.execute("DELETE FROM kept WHERE expires_at <= ?", (now,)).rowcount
