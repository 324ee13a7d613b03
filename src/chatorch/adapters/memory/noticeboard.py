"""For a process that is alone: nobody looks, and nobody shows anything."""

from collections.abc import Mapping

from chatorch.ports.noticeboard import Board, Noticeboard


class MemoryNoticeboard(Noticeboard):
    async def post(self, figures: bytes, processed: int, counts: Mapping[str, float]) -> bool:  # noqa: ARG002
        return False

    async def read(self) -> Board:
        return Board()

    async def withdraw(self) -> None: ...
