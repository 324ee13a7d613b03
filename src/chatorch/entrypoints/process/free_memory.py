"""Memory that was needed for a while is given back to the machine.

glibc gives back by itself what is free at the end of its heap only: one small thing that stays there holds up all that
was freed before it, such as what a hundred clients have not read. Asked to, it gives back every free page
(malloc_trim(3)), which takes a millisecond for twenty megabytes.
"""

import ctypes
from typing import Protocol

from chatorch.ports.system import Clock

EVERY_S = 0.5
WORTH_BYTES = 4 * 1024 * 1024


class Heap(Protocol):
    def free_bytes(self) -> int:
        """What is free, whether it has been given back or not."""
        ...

    def give_back(self) -> None: ...


_MEMBERS = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _Info(ctypes.Structure):
    """``struct mallinfo2`` (mallinfo(3))."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _MEMBERS)


class GlibcHeap(Heap):
    """Raises `AttributeError` where malloc is another's, or older than glibc 2.33."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._info, self._trim = library.mallinfo2, library.malloc_trim
        self._info.restype = _Info

    def free_bytes(self) -> int:
        return int(self._info().fordblks)

    def give_back(self) -> None:
        self._trim(0)


def own_heap() -> Heap | None:
    """This process's, where it can be asked."""
    try:
        return GlibcHeap()
    except (AttributeError, OSError):
        return None


async def keep_giving_back(clock: Clock, heap: Heap | None) -> None:
    """For ever: looks twice a second whether enough has been freed. Cancel to end it."""
    least = 0 if heap is None else heap.free_bytes()
    while heap is not None:
        await clock.sleep(EVERY_S)
        free = heap.free_bytes()
        if free - least >= WORTH_BYTES:
            heap.give_back()
            free = least = heap.free_bytes()
        least = min(least, free)
