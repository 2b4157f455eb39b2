"""Blobs that arrive in a folder: each version is scored once, or tried five times and put among the poisoned."""

import errno
import json
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from ...domain.arrivals import Tally
from ...domain.blob_paths import POISON, BlobPath, checked_paths
from ...domain.events import as_utc, blob_metadata
from .blob_folder import Blob, Changed, StoreAway
from .blob_store import BLOBS, store_of
from .folders import Folder
from .invocations import FunctionAddress, NotKept, Outcome
from .pauses import ALONE_AFTER, pause_before
from .receipts import Receipt, Receipts, State

RECEIPTS = "receipts.db"
MOST_TRIES = 5  # the Functions host's maxDequeueCount of a blob
_LOOK_SECONDS = 0.25
_LOOK_SHARE = 4  # a look takes at most a fifth of the time
_MOST_FOUND = 1_000  # in one look
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True)
class Arrived:
    """A blob that is to be scored, and what its name's expressions stand for."""

    blob: Blob
    values: Mapping[str, str]


class BlobSource:
    """The watched container of one deployment, its receipts beside it in the trigger's folder."""

    def __init__(
        self, folder: Folder, job: Mapping[str, Any], function: FunctionAddress, say: Callable[[str], None]
    ) -> None:
        self._path_in, self._path_out = checked_paths(job["trigger"]["path_in"], job["trigger"]["path_out"])
        self._most_bytes = int(job["most_bytes"])
        self._where = folder.path
        self._receipts_file = folder.path / RECEIPTS
        self._function = function
        self._say = say
        self._waiting = 0
        self._found: deque[Arrived] = deque()
        self._next_look = 0.0
        self._under_way: set[str] = set()
        self._broken: Counter[str] = Counter()  # by etag: how often the function ended with it
        self._lock = Lock()

    def open(self) -> None:
        self._store = store_of(self._where)
        self._receipts = Receipts(self._receipts_file)
        for container in (self._path_in.container, self._path_out.container):
            self._store.make(container)
        self._store.tidy()

    def take(self, most: int) -> list[Arrived]:
        if not self._found:
            time.sleep(max(0.0, min(self._next_look - time.monotonic(), _LOOK_SECONDS)))
            if time.monotonic() >= self._next_look:
                self._look()
        taken = [self._found.popleft() for _ in range(min(most, len(self._found)))]
        with self._lock:
            self._under_way.update(item.blob.name for item in taken)
        return taken

    def work(self, item: Arrived) -> None:
        try:
            self._work(item)
        except Changed:
            pass  # it is being written to: its next version is taken when it is complete
        except (OSError, sqlite3.Error) as error:
            raise NotKept(f"what became of a blob cannot be kept: {error}") from error
        finally:
            with self._lock:
                self._under_way.discard(item.blob.name)

    def is_alone(self, item: Arrived) -> bool:
        return self._broken[item.blob.etag] >= ALONE_AFTER

    def tend(self) -> None:
        """Nothing needs to be kept: a blob stays where it is."""

    def tally(self) -> Tally:
        count = self._receipts.count()
        return Tally(self._waiting, count[State.DONE], count[State.POISON])

    def _look(self) -> None:
        """See what is there: whatever changes until its turn comes is left for the next look."""
        began = time.monotonic()
        there: set[str] = set()
        unseen: list[str] = []
        self._waiting = 0
        with self._lock:
            under_way = set(self._under_way)
        self._store.make(self._path_in.container)  # somebody may have removed it with what was in it
        for blob in self._store.blobs(self._path_in.container, unseen):
            there.add(blob.name)
            values = self._path_in.match(blob.name)
            if values is None or self._is_settled(blob):
                continue
            self._waiting += 1
            is_free = blob.stable and blob.name not in under_way and len(self._found) < _MOST_FOUND
            if is_free and self._receipts.is_due(blob.name, blob.etag):
                self._found.append(Arrived(blob, values))
        if not unseen:  # what merely could not be looked at is not gone
            self._receipts.keep_only(there)
        took = time.monotonic() - began
        self._next_look = time.monotonic() + max(_LOOK_SECONDS, _LOOK_SHARE * took)

    def _work(self, item: Arrived) -> None:
        blob = item.blob
        if blob.size > self._most_bytes:
            why = f"it has {blob.size} bytes; this function takes up to {self._most_bytes}"
            self._failed(blob, Outcome(None, failure=why, told=why), most=1)
            return
        began = time.monotonic()
        try:
            now = datetime.now(UTC)
            name = self._path_out.fill(item.values, now=now)
            content = self._store.read(self._path_in.container, blob)
            outcome = self._function.invoke(content, self._metadata(item, now))
            if outcome.output is not None:
                self._store.write(self._path_out.container, name, outcome.output)
        except ValueError as error:
            outcome = Outcome(None, failure=str(error), told="its answer can have no name", hopeless=True)
        except FileNotFoundError as error:
            raise Changed(blob.name) from error
        except StoreAway as error:
            raise NotKept(str(error)) from error
        except OSError as error:
            if error.errno in _FULL:
                raise NotKept("the disk is full") from error
            outcome = Outcome(None, failure=f"{error.strerror}", told=f"{error.strerror}", hopeless=True)
        if outcome.output is None:
            self._failed(blob, outcome)
            return
        self._broken.pop(blob.etag, None)
        self._receipts.put(blob.name, Receipt(blob.etag, State.DONE))
        took = f"{(time.monotonic() - began) * 1000:.0f} ms"
        self._say(f"{self._shown(blob)} scored in {took}; {'; '.join(outcome.logs)[:500]}")

    def _failed(self, blob: Blob, outcome: Outcome, *, most: int = MOST_TRIES) -> None:
        before = self._receipts.get(blob.name, blob.etag)
        tries = (before.tries if before else 0) + 1
        if tries >= most:
            self._broken.pop(blob.etag, None)
            self._give_up(blob, tries, outcome)
            return
        if outcome.broke_off:
            self._broken[blob.etag] += 1
        pause = pause_before(tries, hopeless=outcome.hopeless)
        self._receipts.put(blob.name, Receipt(blob.etag, State.AGAIN, tries, time.time() + pause, outcome.failure))
        self._say(f"{self._shown(blob)} failed, try {tries} of {MOST_TRIES}: {outcome.told}")

    def _give_up(self, blob: Blob, tries: int, outcome: Outcome) -> None:
        """Leave it where it is, tell of it among the poisoned, and never try this version again."""
        told = {
            "Type": "BlobTrigger",
            "FunctionId": self._function.name,
            "BlobType": "BlockBlob",
            "ContainerName": self._path_in.container,
            "BlobName": blob.name,
            "ETag": blob.etag,
            "Reason": outcome.failure,
            "At": as_utc(datetime.now(UTC)),
        }
        name = sha256(f"{blob.name}\0{blob.etag}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self._store.write(POISON, f"{name}.json", json.dumps(told, indent=1).encode())
        self._receipts.put(blob.name, Receipt(blob.etag, State.POISON, tries, reason=outcome.failure))
        self._say(f"{self._shown(blob)} is poisoned after {tries} tries: {outcome.told}")

    def _is_settled(self, blob: Blob) -> bool:
        receipt = self._receipts.get(blob.name, blob.etag)
        return receipt is not None and receipt.state != State.AGAIN

    def _metadata(self, item: Arrived, now: datetime) -> dict[str, Any]:
        blob = item.blob
        changed = as_utc(datetime.fromtimestamp(blob.modified, UTC))
        return blob_metadata(
            function=self._function.name,
            container=self._path_in.container,
            name=blob.name,
            values=item.values,
            properties={**blob.properties, "ETag": blob.etag, "ContentLength": blob.size, "LastModified": changed},
            now=now,
        )

    def _shown(self, blob: Blob) -> str:
        """The blob's path as one line of a log, whatever is in its name."""
        return json.dumps(f"{self._path_in.container}/{blob.name}", ensure_ascii=not blob.name.isprintable())


def containers(root: Path, path_in: str, path_out: str) -> tuple[Path, Path]:
    """The folders that blobs are put into and answers are found in."""
    return root / BLOBS / BlobPath.parse(path_in).container, root / BLOBS / BlobPath.parse(path_out).container
