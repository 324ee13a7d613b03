"""What providers send, as whole raw responses, and what must be stored and shown of it, over every door.

``python -m tests.support.provider_cases FILE`` (or ``make cases FILE=…``) tries a file of lines such as
``{"name", "response", "want": {"status", "text"}}`` against a server of its own and prints a table; without a file it
tries `tests.support.provider_table`. The exit status is 1 where a line is not right.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import upstream as play
from tests.support.accounts import sign_up
from tests.support.event_reader import Screen
from tests.support.server import Server, serving
from tests.support.sockets import Caller, calling
from tests.support.upstream import Upstream
from tests.support.ws import Door, doors_of

DOORS = ("json", "sse", "ws")
BOUND_S = 15.0


@dataclass(frozen=True)
class Case:
    """`response` is the whole HTTP response, after which the provider hangs up."""

    name: str
    response: bytes
    status: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """What was stored (the run's status, and the text of run and message), and what the client was shown."""

    status: str
    text: str
    told: str
    shown: str

    def is_right(self, case: Case) -> bool:
        """Stored and shown alike; only a JSON caller is not shown the text of a run that failed."""
        shown = self.shown in (case.text, "") if case.status == "failed" else self.shown == case.text
        return (self.status, self.text, self.told) == (case.status, case.text, case.status) and shown


def read_cases(path: Path) -> list[Case]:
    numbered = enumerate(path.read_text("utf-8").split("\n"), 1)
    lines = [_line_of(number, line) for number, line in numbered if line.strip()]
    return [
        Case(
            line["name"],
            line["response"].encode("utf-8", "surrogatepass"),
            line["want"]["status"],
            line["want"]["text"],
        )
        for line in lines
    ]


def _line_of(number: int, text: str) -> dict[str, Any]:
    try:
        line: dict[str, Any] = json.loads(text)
    except ValueError:
        raise ValueError(f"line {number} is not JSON") from None
    return line


class Trial:
    """Asks a server whose provider is `upstream` by each door."""

    def __init__(self, upstream: Upstream, caller: Caller, door: Door, token: str) -> None:
        self._upstream, self._caller, self._door, self._token = upstream, caller, door, token

    async def of(self, case: Case, door: str) -> Outcome:
        model = self._upstream.model(play.bare(case.response))
        match door:
            case "json":
                run_id, told, shown = await self._by_json(model)
            case "sse":
                stream = await (await self._caller.say("Hi", model=model)).ended(BOUND_S)
                run_id, told, shown = stream.run_id, stream.terminals[0]["type"].removeprefix("run."), stream.text
            case _:
                device = await self._door.connect("phone", self._token)
                ack = await device.ask("chat.send", content="Hi", model=model)
                screen = await device.run_ended(run_id := ack["run_id"], BOUND_S, Screen())
                await device.connection.close()
                told, shown = screen.terminals[0]["type"].removeprefix("run."), screen.text
        return await self._stored(run_id, told, shown)

    async def _by_json(self, model: str) -> tuple[str, str, str]:
        answer = await (await self._caller.say("Hi", model=model, stream=False)).ended(BOUND_S)
        if answer.status == 200:
            return answer.json["run_id"], "completed", answer.json["response"]
        assert answer.status in {502, 503, 504}, answer.body
        return answer.json["run_id"], "failed", ""

    async def _stored(self, run_id: str, told: str, shown: str) -> Outcome:
        run = await self._caller.run(run_id)
        message = (await self._caller.messages(run["thread_id"]))[-1]
        assert message["content"] == run["text"]
        assert message["status"] == ("complete" if run["status"] == "completed" else "incomplete")
        return Outcome(run["status"], run["text"], told, shown)


async def table_of(cases: Sequence[Case]) -> tuple[list[str], int]:
    """A line a case and door that is tried, and how many were not right."""
    lines, wrong = [], 0
    upstream = Upstream()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(
            Path(folder),
            OPENAI_API_KEY="sk-test",
            OPENAI_BASE_URL=upstream.base_url,
            CHATORCH_ALLOWED_MODELS="*",
            CHATORCH_MAX_LIVE_RUNS_PER_USER="100000",
        )
        try:
            async with serving(server):
                await sign_up(server, "alice")
                async with calling(server) as caller, doors_of(server.port) as door:
                    trial = Trial(upstream, caller, door, server.tokens["alice"])
                    for case in cases:
                        outcomes = {door: await trial.of(case, door) for door in DOORS}
                        right = all(outcome.is_right(case) for outcome in outcomes.values())
                        wrong += not right
                        lines.append(_line(case, outcomes, right=right))
        finally:
            upstream.stop()
    return lines, wrong


def _line(case: Case, outcomes: dict[str, Outcome], *, right: bool) -> str:
    if right:
        return f"right  {case.name}: {case.status}, {case.text!r}, by {', '.join(DOORS)}"
    heard = "; ".join(f"{door}: {o.status}, {o.text!r}, shown {o.shown!r}" for door, o in outcomes.items())
    return f"WRONG  {case.name}: wanted {case.status}, {case.text!r}; {heard}"


def main() -> None:
    from tests.support.provider_table import CASES  # it needs `Case`

    try:
        cases = read_cases(Path(sys.argv[1])) if len(sys.argv) > 1 else CASES
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
    lines, wrong = asyncio.run(table_of(cases))
    print(*lines, sep="\n")  # noqa: T201
    print(f"{len(cases) - wrong} of {len(cases)} right over {len(DOORS)} doors")  # noqa: T201
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
