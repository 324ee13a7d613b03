"""A model server that has two tools called before it answers, and sees to it that they were.

`python -m bench.agents.upstream PORT`. A request that ends with the user's message gets a call of each tool, with
arguments that no other turn has, in pieces; one that ends with what those calls must have said gets the answer, and any
other one 400. Models are those of `bench.upstream`, and all pieces are as far apart as it says.
"""

import asyncio
import itertools
import json

import uvloop

from bench.agents.turn import SAID
from bench.upstream import CHUNKED, Connection, choice, event, serve, usage_of

_turns = itertools.count(1)


class Refused(Exception):
    """What is wrong with a request."""


class Agent(Connection):
    async def answer(self, request: dict) -> None:
        _, count, delay_ms = request["model"].split("-")
        counted = bool((request.get("stream_options") or {}).get("include_usage"))
        try:
            since = _since_the_question(request)
            if since:
                _check_results(since)
                await self.stream(int(count), float(delay_ms) / 1000, counted)
            else:
                _check_tools(request)
                await self.call(float(delay_ms) / 1000, counted)
        except (Refused, KeyError, TypeError, ValueError) as error:
            self.refuse(f"{type(error).__name__}: {error}")

    async def call(self, delay_s: float, counted: bool) -> None:
        write = self.transport.write
        write(CHUNKED)
        pieces = list(_calls(next(_turns)))
        for index, piece in enumerate(pieces):
            write(event(choice(piece)))
            if delay_s:
                await asyncio.sleep(delay_s)
            elif index % 8 == 7:
                await asyncio.sleep(0)
        write(event(choice({}, "tool_calls")))
        if counted:
            write(event([], usage=usage_of(len(pieces))))
        write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def refuse(self, why: str) -> None:
        body = json.dumps({"error": {"message": why, "type": "invalid_request_error"}}).encode()
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)


def _calls(turn: int):
    """Deltas, as OpenAI streams them: who it is, then its arguments, call after call."""
    role = {"role": "assistant", "content": None}
    for index, name in enumerate(SAID):
        begun = {"index": index, "id": f"call_{turn}_{index}", "type": "function"}
        yield {**role, "tool_calls": [{**begun, "function": {"name": name, "arguments": ""}}]}
        role = {}
        for piece in ('{"', "city", '": "', "Town", f" {turn}", '"}'):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _since_the_question(request: dict) -> list:
    if not request.get("stream"):
        raise Refused("stream must be true")
    messages = request["messages"]
    asked = max(index for index, message in enumerate(messages) if message["role"] == "user")
    return messages[asked + 1 :]


def _check_tools(request: dict) -> None:
    offered = {tool["function"]["name"] for tool in request.get("tools", ())}
    if offered != set(SAID):
        raise Refused(f"tools are {sorted(offered)}")


def _check_results(messages: list) -> None:
    """All that was said since the question: both calls in one message, then both results, each by its call's id."""
    said, *results = messages
    calls = {call["id"]: call["function"] for call in said["tool_calls"]}
    if said["role"] != "assistant" or {call["name"] for call in calls.values()} != set(SAID):
        raise Refused(f"calls are {calls}")
    if sorted(each["tool_call_id"] for each in results) != sorted(calls):
        raise Refused(f"results are of {[each.get('tool_call_id') for each in results]}")
    for each in results:
        call = calls[each["tool_call_id"]]
        city = json.loads(call["arguments"])["city"]
        number = each["tool_call_id"].split("_")[1]
        if city != f"Town {number}" or each["role"] != "tool" or SAID[call["name"]](city) not in _text(each["content"]):
            raise Refused(f"{call} came to {each['content']!r}")


def _text(content: str | list) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


if __name__ == "__main__":
    uvloop.run(serve(Agent))
