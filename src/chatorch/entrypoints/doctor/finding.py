"""What one look found, and the one way to look: bounded in time, and without a traceback for anything."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chatorch.domain.model.upstream_errors import UpstreamError

WITHIN_S = 5.0

Look = Callable[[], Awaitable[str]]
"""Says what is well; raises `Amiss`, or any error, for what is not."""


class Amiss(Exception):
    """Its text says what to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    topic: str
    well: bool
    words: str

    def __str__(self) -> str:
        return f"{self.topic}: {'ok' if self.well else 'NOT OK'}{', ' if self.well else ': '}{self.words}"


async def looked(topic: str, look: Look, *, within_s: float = WITHIN_S) -> Finding:
    try:
        async with asyncio.timeout(within_s):
            return Finding(topic, True, await look())
    except TimeoutError:
        return Finding(topic, False, f"no answer within {within_s:g} s")
    except UpstreamError as error:
        return Finding(topic, False, _words_of(error))
    except Exception as error:
        own = type(error).__module__.startswith("chatorch.")
        # A library's text may hold addresses and passwords.
        return Finding(topic, False, str(error) if own else f"it fails unexpectedly ({type(error).__name__})")


def _words_of(error: UpstreamError) -> str:
    told = error.detail.rstrip(".")
    if error.status and f"status {error.status}" not in told:
        told += f" (status {error.status})"
    return f"{told}: {error.cause}" if error.cause else told
