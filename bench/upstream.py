"""A model server for measuring: speaks OpenAI chat completions over plain asyncio, far cheaper than what it feeds.

`python -m bench.upstream PORT`. Model ``mock-N-D`` streams N pieces, D milliseconds apart; D = 0 is one burst.
Without ``stream`` it answers whole after D milliseconds.
"""

import asyncio
import json
import sys

import uvloop

WORDS = [f" tok{i}" for i in range(97)]
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(choices: list, **more: object) -> bytes:
    chunk = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "mock", **more}
    data = b"data: " + json.dumps({**chunk, "choices": choices}).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def choice(delta: dict, reason: str | None = None) -> list:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]


PIECES = [event(choice({"content": word})) for word in WORDS]


def usage_of(pieces: int) -> dict:
    return {"prompt_tokens": 9, "completion_tokens": pieces, "total_tokens": 9 + pieces}


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests one after the other."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.answering: asyncio.Task | None = None

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        if self.answering:
            self.answering.cancel()

    def data_received(self, data):
        self.received += data
        head_end = self.received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self.received[:head_end].decode("latin-1").lower()
        length = next((int(x.split(":")[1]) for x in head.split("\r\n") if x.startswith("content-length:")), 0)
        if len(self.received) < head_end + 4 + length:
            return
        body = bytes(self.received[head_end + 4 : head_end + 4 + length])
        del self.received[: head_end + 4 + length]
        if head.startswith("get "):  # LiteLLM asks for the models, once it has begun
            self.tell({"object": "list", "data": []})
            return
        self.answering = asyncio.ensure_future(self.answer(json.loads(body)))

    async def answer(self, request: dict) -> None:
        _, count, delay_ms = request["model"].split("-")
        if request.get("stream"):
            counted = bool((request.get("stream_options") or {}).get("include_usage"))
            await self.stream(int(count), float(delay_ms) / 1000, counted)
        else:
            await asyncio.sleep(float(delay_ms) / 1000)
            self.whole(int(count))

    async def stream(self, count: int, delay_s: float, counted: bool) -> None:
        write = self.transport.write
        write(CHUNKED)
        for index in range(count):
            write(PIECES[index % len(PIECES)])
            if delay_s:
                await asyncio.sleep(delay_s)
            elif index % 8 == 7:
                await asyncio.sleep(0)
        write(event(choice({}, "stop")))
        if counted:
            write(event([], usage=usage_of(count)))
        write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def whole(self, count: int) -> None:
        message = {"role": "assistant", "content": "".join(WORDS[i % len(WORDS)] for i in range(count))}
        answer = {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1, "model": "mock"}
        answer["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
        answer["usage"] = usage_of(count)
        self.tell(answer)

    def tell(self, answer: dict) -> None:
        body = json.dumps(answer).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)


async def serve(connection: type[Connection]) -> None:
    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(Connection))
