"""How Open WebUI calls, over aiohttp, as backend/open_webui/routers/openai.py and utils/middleware.py of it do.

It lists models, streams answers with usage, and has titles and tags made by answers that are not streamed. It reads a
stream line by line; what begins with ``data:`` and is JSON counts, an object without choices may be an error. It never
asks again by itself.
"""

import json
from typing import Any

import aiohttp
from harness import Task, serve

LINE = 4 * 1024 * 1024


class Refused(Exception):
    """An answer of 400 or more, which Open WebUI passes on to the browser as it is."""

    def __init__(self, status: int, body: Any) -> None:
        self.status_code, self.body = status, body
        error = body.get("error") if isinstance(body, dict) else None
        self.code = error.get("code") if isinstance(error, dict) else None
        super().__init__(error["message"] if isinstance(error, dict) else str(body))


class InStream(Exception):
    """An error that came as an event, which is shown below the answer so far."""


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(trust_env=True, read_bufsize=LINE)


def headers(given: dict[str, Any]) -> dict[str, str]:
    """Those of the connection's own settings too."""
    plain = {"Content-Type": "application/json", "Authorization": f"Bearer {given['token']}"}
    return {**plain, **given.get("headers", {})}


async def models(given: dict[str, Any], task: Task) -> object:
    async with session() as http, http.get(f"{given['url']}/v1/models", headers=headers(given)) as answer:
        return [model["id"] for model in (await answer.json())["data"]]


async def complete(given: dict[str, Any], task: Task) -> object:
    """As a title is made: one message of the user's that holds the conversation so far."""
    payload = {
        "model": given["model"],
        "messages": [{"role": "user", "content": given.get("text", "Hi")}],
        "stream": False,
        "max_completion_tokens": 1000,
        **given.get("members", {}),
    }
    async with session() as http, http.post(**request(given, payload)) as answer:
        body = await answer.json()
        if answer.status >= 400:
            raise Refused(answer.status, body)
    [choice] = body["choices"]
    return {"text": choice["message"]["content"], "finish": choice["finish_reason"], "usage": body["usage"]}


async def stream(given: dict[str, Any], task: Task) -> object:
    payload = {
        "stream": True,
        "model": given["model"],
        "messages": [{"role": "user", "content": given.get("text", "Hi")}],
        "stream_options": {"include_usage": True},
        **given.get("members", {}),
    }
    finish, usage = None, None
    async with session() as http, http.post(**request(given, payload)) as answer:
        if answer.status >= 400:
            raise Refused(answer.status, await answer.json())
        assert "text/event-stream" in answer.headers["Content-Type"]
        task.tell("headers", run=answer.headers.get("x-chatorch-run"))
        async for line in answer.content:
            data = event(line)
            usage = data.get("usage") or usage
            if not (choices := data.get("choices")):
                if error := data.get("error"):
                    raise InStream(error["message"])
                continue
            if content := choices[0].get("delta", {}).get("content"):
                task.tell("text", text=content)
            finish = choices[0].get("finish_reason") or finish
            if await task.asked("stop", given):
                break
    return {"finish": finish, "usage": usage}


async def converse(given: dict[str, Any], task: Task) -> None:
    messages = [{"role": "system", "content": "Be brief."}]
    for text in given["texts"]:
        messages.append({"role": "user", "content": text})
        answer = await complete({**given, "members": {"messages": messages}}, task)
        messages.append({"role": "assistant", "content": answer["text"]})


def request(given: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    return {"url": f"{given['url']}/v1/chat/completions", "data": json.dumps(payload), "headers": headers(given)}


def event(line: bytes) -> dict[str, Any]:
    text = line.decode("utf-8", "replace")
    if not text.startswith("data:"):
        return {}
    try:
        return json.loads(text.removeprefix("data:").strip())
    except ValueError:  # [DONE], and whatever else
        return {}


serve({"models": models, "complete": complete, "stream": stream, "converse": converse})
