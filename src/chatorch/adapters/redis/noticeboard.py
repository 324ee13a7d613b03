"""Figures of all processes, and how many messages they have processed together."""

from chatorch.adapters.redis.link import Away, RedisLink
from chatorch.adapters.redis.scripts import BOARD, POST
from chatorch.ports.noticeboard import Board, Noticeboard

SHOWN_MS = 15_000
REMEMBERED_MS = 86_400_000


class RedisNoticeboard(Noticeboard):
    """Counts by each process's total, so that a post whose answer was lost may be repeated.

    A Redis that came back empty is told all that this process has processed.
    """

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._processes = f"{link.prefix}board"
        self._all = f"{link.prefix}board:processed"
        self._processed = 0

    async def post(self, figures: bytes, processed: int) -> bool:
        process = self._link.process
        keys = [self._processes, self._all, f"{self._all}:{process}", self._figures(process)]
        total = self._processed + processed
        try:
            await self._link.ask(POST(keys, process, figures, total, SHOWN_MS, REMEMBERED_MS))
        except Away:
            return False
        self._processed = total
        return True

    async def read(self) -> Board:
        try:
            [[processes, processed]] = await self._link.ask(BOARD([self._processes, self._all]))
            others = [name.decode() for name in processes if name.decode() != self._link.process]
            shown = await self._link.ask(*(("GET", self._figures(name)) for name in others)) if others else []
        except Away:
            return Board((), None)
        return Board([figures for figures in shown if figures is not None], int(processed or 0))

    def _figures(self, process: str) -> str:
        return f"{self._processes}:{process}"
