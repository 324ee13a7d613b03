"""Figures of all processes, what they have counted together, and how many messages they have processed."""

from collections.abc import Mapping
from dataclasses import dataclass

from chatorch.adapters.redis.link import Away, RedisLink
from chatorch.adapters.redis.scripts import BOARD, POST, Argument
from chatorch.ports.noticeboard import Board, Noticeboard

SHOWN_S = 15.0
COUNTED_MS = 600_000
"""How long the sums of a server are kept that is gone."""
REMEMBERED_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class _Addition:
    """What the sums grow by. `number` rises by one each time, and `first` says that nothing of it is in them yet."""

    number: int
    first: bool
    growth: Mapping[str, float]
    totals: Mapping[str, float]


class RedisNoticeboard(Noticeboard):
    """`server` names the server that this process belongs to; `shown_s` is how long figures are shown.

    Sums are kept for each server, and every process adds what it has counted since it last did. So they never fall
    when one dies, and one that was only taken for dead goes on adding. Additions are numbered: one whose answer was
    lost is made again, and counts once. A Redis that came back empty is told all that this process has counted.
    """

    def __init__(self, link: RedisLink, server: str, *, shown_s: float = SHOWN_S) -> None:
        self._link = link
        self._server = server
        self._shown_ms = round(shown_s * 1000)
        self._process = f"{server}:{link.process}"
        self._processes = f"{link.prefix}board"
        self._all = f"{link.prefix}board:processed"
        self._mine = f"{self._all}:{link.process}"
        self._sums = f"{link.prefix}board:counted:{server}"
        self._number = 0
        self._told: Mapping[str, float] = {}
        self._unanswered: _Addition | None = None

    async def post(self, figures: bytes, processed: int, counts: Mapping[str, float]) -> bool:
        try:
            while True:
                await self._add(self._unanswered or self._addition(counts), figures, processed)
                if self._told == counts:
                    return True
        except Away:
            return False

    def _addition(self, counts: Mapping[str, float]) -> _Addition:
        told = self._told
        growth = {name: total - told.get(name, 0.0) for name, total in counts.items() if total != told.get(name)}
        return _Addition(self._number + 1, not told, growth, counts)

    async def _add(self, addition: _Addition, figures: bytes, processed: int) -> None:
        self._unanswered, self._number = addition, addition.number
        growth: list[Argument] = [part for name, more in addition.growth.items() for part in (name, repr(more))]
        lives = (self._shown_ms, REMEMBERED_MS, COUNTED_MS)
        keys = [self._processes, self._all, self._mine, f"{self._processes}:{self._process}", self._sums]
        known = (self._process, figures, processed, *lives, addition.number, int(addition.first))
        [added] = await self._link.ask(POST(keys, *known, *growth))
        self._unanswered, self._told = None, addition.totals if added else {}

    async def read(self) -> Board:
        keys = [self._processes, self._all, self._mine, self._sums]
        try:
            [[shown, processed, sums]] = await self._link.ask(BOARD(keys, self._process))
        except Away:
            return Board()
        figures = list(zip(shown[::2], shown[1::2], strict=True))
        mates = [each for process, each in figures if self._is_mate(process)]
        strangers = [each for process, each in figures if not self._is_mate(process)]
        return Board(mates, strangers, processed, self._counted(sums))

    def _is_mate(self, process: bytes) -> bool:
        return process.decode().startswith(f"{self._server}:")

    def _counted(self, sums: list[bytes]) -> dict[str, float] | None:
        counted = {name.decode(): float(total) for name, total in zip(sums[::2], sums[1::2], strict=True)}
        members = [name for name in counted if name.startswith("@")]
        if f"@{self._process}" not in members or len(members) == 1:
            return None
        return {name: total for name, total in counted.items() if not name.startswith("@")}

    async def withdraw(self) -> None:
        self._link.post(("ZREM", self._processes, self._process))
        self._link.post(("DEL", f"{self._processes}:{self._process}"))
