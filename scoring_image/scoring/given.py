"""The input as an entry shows it. It is written down before the model sees it, for a model may change its input."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor
from typing import Any

import msgspec

from scoring.inputs import Reader, Request

# What came in a longer body is worked on in a thread, so that others are answered between the steps of that.
LARGE = 256 * 1024

log = logging.getLogger("scoring")


class Given:
    """Shows inputs, with the masked fields' values replaced; those of long bodies are written in `thread`.

    None is what cannot be shown: that is no reason not to answer, nor not to store the answer.
    """

    def __init__(self, reader: Reader, *, masked: frozenset[str], thread: Executor) -> None:
        self._reader = reader
        self._masked = masked
        self._thread = thread
        self._told = False

    async def whole(self, request: Request, size: int) -> bytes | None:
        """The JSON of the whole input, which came in a body of `size` bytes."""
        if size <= LARGE:
            return self._whole(request)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._whole, request)

    async def rows(self, request: Request, size: int) -> list[bytes] | None:
        """The JSON of each row."""
        if size <= LARGE:
            return self._rows(request)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._rows, request)

    def _whole(self, request: Request) -> bytes | None:
        try:
            value = self._reader.stored(request, self._masked)
            # One item after the other, for within one call no other thread has its turn.
            return b"[%b]" % b",".join(_each(value)) if isinstance(value, list) else msgspec.json.encode(value)
        except Exception:
            self._tell()
            return None

    def _rows(self, request: Request) -> list[bytes] | None:
        try:
            return _each(self._reader.stored(request, self._masked))
        except Exception:
            self._tell()
            return None

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            log.warning("an input cannot be shown; such answers are stored without it", exc_info=True)


def _each(items: list[Any]) -> list[bytes]:
    return [msgspec.json.encode(item) for item in items]
