"""Receipts: which version of which blob was scored, is to be tried again, or was given up."""

import contextlib
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock

_TABLE = """CREATE TABLE IF NOT EXISTS receipts (
    blob BLOB PRIMARY KEY, etag TEXT NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL, due REAL NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID"""


class State(StrEnum):
    DONE = "done"
    AGAIN = "again"
    POISON = "poison"


@dataclass(frozen=True)
class Receipt:
    """What is known of one version; `due` is when it may be tried again, in seconds of the clock."""

    etag: str
    state: State
    tries: int = 0
    due: float = 0.0
    reason: str = ""


class Receipts:
    """All receipts, in memory and, before `put` returns, on the disk."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._store = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._store.execute("PRAGMA journal_mode=WAL")
        self._store.execute("PRAGMA synchronous=FULL")
        self._store.execute(_TABLE)
        self._known = {
            os.fsdecode(blob): _receipt(*rest) for blob, *rest in self._store.execute("SELECT * FROM receipts")
        }

    def get(self, blob: str, etag: str) -> Receipt | None:
        """The receipt of that version; None where it is new."""
        receipt = self._known.get(blob)
        return receipt if receipt is not None and receipt.etag == etag else None

    def is_due(self, blob: str, etag: str) -> bool:
        """Whether that version is still to be scored, and may be now."""
        receipt = self.get(blob, etag)
        return receipt is None or (receipt.state == State.AGAIN and receipt.due <= time.time())

    def put(self, blob: str, receipt: Receipt) -> None:
        values = (os.fsencode(blob), receipt.etag, receipt.state, receipt.tries, receipt.due, receipt.reason)
        with self._lock:
            self._store.execute("INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?, ?, ?)", values)
            self._known[blob] = receipt

    def keep_only(self, blobs: Collection[str]) -> None:
        """Forget those of blobs that are no longer there."""
        with self._lock:
            gone = [blob for blob in self._known if blob not in blobs]
            for blob in gone:
                self._store.execute("DELETE FROM receipts WHERE blob = ?", (os.fsencode(blob),))
                del self._known[blob]

    def count(self) -> Counter[State]:
        with self._lock:
            return Counter(receipt.state for receipt in self._known.values())

    def close(self) -> None:
        self._store.close()


def receipt_of(path: Path, blob: str) -> Receipt | None:
    """One receipt, read beside the process that writes them. Raises sqlite3.Error where there are none yet."""
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as store:
        found = store.execute("SELECT * FROM receipts WHERE blob = ?", (os.fsencode(blob),)).fetchone()
    return None if found is None else _receipt(*found[1:])


def _receipt(etag: str, state: str, tries: int, due: float, reason: str) -> Receipt:
    return Receipt(etag, State(state), tries, due, reason)
