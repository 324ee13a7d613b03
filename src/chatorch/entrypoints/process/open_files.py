"""Whether this process may open one more file: where not, connections are closed before anybody has seen them."""

import errno
import os
from collections.abc import Callable

import structlog

from chatorch.ports.system import Clock

EVERY_S = 1.0
TOLD_S = 5.0
NO_MORE = frozenset({errno.EMFILE, errno.ENFILE})

log = structlog.get_logger(__name__)


def may_open() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in NO_MORE
    return True


async def watch_files(clock: Clock, may_open: Callable[[], bool] = may_open) -> None:
    """For ever: looks once a second, and logs at most each 5 s that there are no more. libuv itself says nothing."""
    told_at = -TOLD_S
    while True:
        if not may_open() and clock.monotonic() - told_at >= TOLD_S:
            told_at = clock.monotonic()
            log.error(
                "files_exhausted",
                problem="no more files can be opened, so connections are reset unheard: allow more (ulimit -n), "
                "or set CHATORCH_MAX_CONNECTIONS lower",
            )
        await clock.sleep(EVERY_S)
