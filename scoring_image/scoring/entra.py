"""Tokens of Microsoft Entra ID that stand in for a password at the cache.

Azure takes the identity's object id as the user name and a token as the password, and closes a connection whose
token has run out; a new one is to be sent at least three minutes before that:
https://learn.microsoft.com/azure/redis/entra-for-authentication.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

SCOPE = "https://redis.azure.com/.default"

# Seconds before its end at which a token is renewed. The library that brings it gives out the one it already has
# until five minutes before the end.
_MARGIN = 280.0
_SHORTEST_MARGIN = 240.0
_SECONDS_TO_CONNECT = 5
_SECONDS_TO_READ = 10


class TokenError(Exception):
    """There is no token to be had now; the message says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, the second of the Unix epoch at which it ends, and the one at which to ask for the next."""

    text: str = field(repr=False)
    ends: float
    renew_at: float


class Tokens:
    """Tokens of this machine's managed identity, or of the user-assigned one with this client id.

    Where there is no managed identity, whatever else the environment signs in with. Belongs to one event loop.
    """

    def __init__(self, client_id: str = "") -> None:
        self._client_id = client_id
        self._credential: Any = None
        self._held: Token | None = None
        # The library waits for the network; one thread, so that it is not asked twice at once.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="entra")

    async def current(self) -> Token:
        """A token to sign in with: the one that is held, while that is good. Raises TokenError."""
        held, now = self._held, time.time()
        if held is not None and now < held.renew_at:
            return held
        try:
            return await self.renewed()
        except TokenError:
            if held is not None and now < held.ends:
                return held
            raise

    async def renewed(self) -> Token:
        """A token that has just been asked for. Raises TokenError."""
        loop = asyncio.get_running_loop()
        self._held = await loop.run_in_executor(self._thread, self._asked)
        return self._held

    def _asked(self) -> Token:
        """Run in the thread."""
        try:
            if self._credential is None:
                self._credential = _credential(self._client_id)
            found = self._credential.get_token_info(SCOPE)
        except ImportError as error:
            raise TokenError(
                f"the package azure-identity cannot be imported ({error}); add it to the function's requirements"
            ) from error
        except Exception as error:
            # The library's errors run over many lines, the first of which says what happened.
            lines = str(error).strip().splitlines() or [""]
            raise TokenError(f"Entra ID gave no token: {type(error).__name__}: {lines[0][:300]}") from error
        return _token(found.token, ends=float(found.expires_on), refresh_on=found.refresh_on)


def _token(text: str, *, ends: float, refresh_on: int | None) -> Token:
    # Spread out, so that many functions do not ask at the same moment; a token that ends sooner leaves less room.
    margin = min(random.uniform(_SHORTEST_MARGIN, _MARGIN), (ends - time.time()) / 4)  # noqa: S311
    return Token(text, ends, min(float(refresh_on or ends), ends - margin))


def _credential(client_id: str) -> Any:
    """What signs in here; imported only by functions that do."""
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    limits: dict[str, Any] = {
        "connection_timeout": _SECONDS_TO_CONNECT,
        "read_timeout": _SECONDS_TO_READ,
        "retry_total": 1,
    }
    if client_id or "IDENTITY_ENDPOINT" in os.environ:
        return ManagedIdentityCredential(client_id=client_id or None, **limits)
    return DefaultAzureCredential(**limits)
