"""Whether an answer arrives as it is made, or is held back on the way."""

import asyncio
import re
from contextlib import suppress

import aiohttp

from chatorch.entrypoints.doctor.finding import WITHIN_S, Amiss
from chatorch.entrypoints.doctor.reaching import PROXIES

APART_S = 0.02
"""Pieces that come nearer to each other may have waited for each other on the way."""
QUESTION = {"messages": [{"role": "user", "content": "Count from one to thirty, in words."}], "stream": True}

MOST_TOGETHER = 8
"""Pieces in one arrival. What a proxy's buffer holds until it is full is far more."""

_PIECE = b"event: message.delta\n"
_THREAD = re.compile(rb'"thread_id": ?"([A-Za-z0-9_-]{1,64})"')


class Arrivals:
    """What has come of an event stream, and when."""

    def __init__(self) -> None:
        self.start = b""
        self._times = 0
        self._last_at = 0.0
        self._alone = False

    def one_by_one(self, data: bytes, at: float) -> bool:
        """Whether it is sure by now: three arrivals were apart, or the begin came alone, ahead of all text.

        The latter is how a model looks that is faster than can be told apart.
        """
        pieces = data.count(_PIECE)
        apart = self._times > 0 and at - self._last_at >= APART_S and pieces <= MOST_TOGETHER
        if self._times == 0:
            self.start = data
            self._alone = b"event: run.started\n" in data and pieces == 0
        self._times += apart or self._times == 0
        self._last_at = at
        return apart and (self._alone or self._times >= 3)


async def answer_piece_by_piece(session: aiohttp.ClientSession, base: str, *, token: str | None) -> str:
    """Asks as the user of `token`, or as a guest; leaves as soon as enough was seen, and deletes the user's thread."""
    path, headers = ("/api/chat/protected", {"Authorization": f"Bearer {token}"}) if token else ("/api/chat", {})
    now, arrivals = asyncio.get_running_loop().time, Arrivals()
    try:
        async with session.post(f"{base}{path}", json=QUESTION, headers=headers, allow_redirects=False) as answer:
            if answer.status != 200:
                raise Amiss(f"status {answer.status} in place of 200; {_hint(answer.status, token)}")
            failed = False
            async for data in answer.content.iter_any():
                failed = failed or b"event: run.failed\n" in data
                if arrivals.one_by_one(data, now()):
                    return "pieces arrive one by one"
    finally:
        if token and (thread := _THREAD.search(arrivals.start)):
            with suppress(aiohttp.ClientError, OSError):
                await _delete(session, f"{base}/api/threads/{thread[1].decode()}", headers)
    if failed:
        raise Amiss("the run failed, so nothing can be told; see its run_ended in the log")
    raise Amiss(f"the answer came all at once: something on the way holds it back; {PROXIES}")


async def _delete(session: aiohttp.ClientSession, address: str, headers: dict[str, str]) -> None:
    async with asyncio.timeout(WITHIN_S), session.delete(address, headers=headers, allow_redirects=False):
        pass


def _hint(status: int, token: str | None) -> str:
    if status != 401:
        return PROXIES
    return "is the token good?" if token else "CHATORCH_ANONYMOUS_CHAT is not what the server has"
