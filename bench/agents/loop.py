"""The floor: an ASGI app that makes the turn and passes the model's bytes on, and does nothing else.

`UPSTREAM=… uvicorn bench.agents.loop:app`, asked at `/burst` or `/paced`. No framework, no user, no state.
"""

import asyncio
import json
import os

import aiohttp

from bench.agents.turn import INSTRUCTIONS, MODELS, QUESTION, TOOLS

URL = os.environ.get("UPSTREAM", "") + "/v1/chat/completions"
HEADERS = {"content-type": "application/json"}
BY_NAME = {tool.__name__: tool for tool in TOOLS}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OFFERED = [
    {"type": "function", "function": {"name": tool.__name__, "description": tool.__doc__, "parameters": CITY}}
    for tool in TOOLS
]
client: aiohttp.ClientSession


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    while (await receive()).get("more_body"):
        pass
    head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
    await send(head)
    messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": QUESTION}]
    asked = {"model": MODELS[scope["path"].strip("/")], "stream": True, "tools": OFFERED, "messages": messages}
    while calls := await step(asked, send):
        messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        messages += await asyncio.gather(*map(result, calls))
    await send({"type": "http.response.body", "body": b""})


async def step(asked, send):
    """The calls that the model asks for; its bytes have been sent on."""
    calls, rest = {}, b""
    async with client.post(URL, data=json.dumps(asked).encode(), headers=HEADERS) as answer:
        answer.raise_for_status()
        async for piece in answer.content.iter_any():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            *lines, rest = (rest + piece).split(b"\n\n")
            for line in lines:
                if b'"tool_calls"' in line:
                    add(calls, json.loads(line[6:])["choices"][0]["delta"].get("tool_calls", ()))
    return list(calls.values())


def add(calls, deltas):
    for delta in deltas:
        if call := calls.get(delta["index"]):
            call["function"]["arguments"] += delta["function"]["arguments"]
        else:
            calls[delta.pop("index")] = delta


async def result(call):
    said = await BY_NAME[call["function"]["name"]](**json.loads(call["function"]["arguments"]))
    return {"role": "tool", "tool_call_id": call["id"], "content": said}


async def live(receive, send):
    global client
    await receive()
    client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await client.close()
    await send({"type": "lifespan.shutdown.complete"})
