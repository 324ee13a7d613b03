"""Being asked to stop before anything is there that must be ended well. Imports next to nothing, to be there first.

Whatever is cut off so is made to be cut off anywhere: a migration is a transaction, a lock ends with its process.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_status: int | None = None
_last: list[Callable[[], None]] = []


def stop_at_once(status: int | None = None) -> None:
    """From now on each of `SIGNALS` ends the process with a word, and with `status`: 128 and its number where None.

    What the process was started to ignore (`nohup`) stays ignored.
    """
    global _status  # noqa: PLW0603  # of the process, as signals are
    _status = status
    for number in SIGNALS:
        if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _on_signal)


def interrupt_as_usual() -> None:
    """Ctrl-C raises `KeyboardInterrupt` again, for a command that asks for something and tidies up."""
    if signal.getsignal(signal.SIGINT) is _on_signal:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def would_end(number: signal.Signals) -> bool:
    """Nobody else has taken this signal: it would end the process."""
    return signal.getsignal(number) in {signal.SIG_DFL, _on_signal}


def at_the_end(do: Callable[[], None]) -> None:
    """To be done also where the process ends at once. Must take no time."""
    _last.append(do)


def end_well() -> None:
    """Does what was left for the end, once."""
    while _last:
        with suppress(Exception):
            _last.pop()()


def leave(number: int) -> NoReturn:
    """Ends the process here and now: threads may hang in a store that is away."""
    end_well()
    with suppress(Exception):
        sys.stdout.flush()
    os._exit(128 + number if _status is None else _status)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, f"chatorch: stopped by {signal.Signals(number).name}\n".encode())
    leave(number)
