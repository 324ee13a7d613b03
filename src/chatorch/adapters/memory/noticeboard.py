"""For a process that is alone: nobody looks, and nobody shows anything."""

from chatorch.ports.noticeboard import Board, Noticeboard


class MemoryNoticeboard(Noticeboard):
    async def post(self, figures: bytes, processed: int) -> bool:  # noqa: ARG002
        return False

    async def read(self) -> Board:
        return Board((), None)
