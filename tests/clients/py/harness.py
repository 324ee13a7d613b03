"""What every client's file here stands on; tests/support/client_process.py says what goes over the pipes."""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

MEMBERS = ("status_code", "code", "param", "body", "request_id", "model_name")


class Task:
    """`tell` says what the client's user would notice."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._texts = 0
        self._said: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def tell(self, name: str, **values: object) -> None:
        self._texts += name == "text"
        sys.stdout.write(json.dumps({"call": self._number, "told": name, **values}) + "\n")
        sys.stdout.flush()

    async def heard(self, word: str) -> None:
        """Returns once the test has said it."""
        await self._said[word].wait()

    async def asked(self, word: str, given: Mapping[str, Any]) -> bool:
        """For loops over what comes: whether to leave. Where `given` ``waits`` for the word, after the first text."""
        if self._texts and given.get("waits") == word:
            await self.heard(word)
            return True
        return False

    def hear(self, word: str) -> None:
        self._said[word].set()


Action = Callable[[dict[str, Any], Task], Awaitable[object]]


def described(error: BaseException) -> dict[str, Any]:
    """An error as the client gives it to who calls it."""
    members = {name: value for name in MEMBERS if (value := getattr(error, name, None)) is not None}
    cause = error.__cause__
    told = {"type": type(error).__name__, "message": str(error), "cause": cause and type(cause).__name__, **members}
    return json.loads(json.dumps(told, default=str))


def serve(actions: Mapping[str, Action]) -> None:
    asyncio.run(_serve(actions))


async def _serve(actions: Mapping[str, Action]) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks: dict[int, Task] = {}
    running: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        message = json.loads(line)
        if "say" in message:
            tasks[message["call"]].hear(message["say"])
            continue
        task = tasks[message["call"]] = Task(message["call"])
        doing = asyncio.ensure_future(_do(actions[message["do"]], message["given"], task))
        running.add(doing)
        doing.add_done_callback(running.discard)


async def _do(action: Action, given: dict[str, Any], task: Task) -> None:
    try:
        task.tell("done", value=await action(given, task))
    except Exception as error:  # all of them are what the test asks for
        task.tell("raised", error=described(error))
