"""openai-python, as its README shows it: chat completions."""

from functools import lru_cache
from typing import Any

from harness import Task, serve
from openai import AsyncOpenAI, Omit

ASKED = [{"role": "user", "content": "Hi"}]


def client(given: dict[str, Any]) -> AsyncOpenAI:
    plain = client_at(given["url"], given["token"])
    return plain.with_options(default_headers=given["headers"]) if "headers" in given else plain


@lru_cache
def client_at(url: str, token: str | None) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key=token or "none")


def signed(given: dict[str, Any]) -> dict[str, Any]:
    """The package wants a key, and takes it that a guest's request leaves the header out."""
    return {"extra_headers": {"Authorization": Omit()}} if given["token"] is None else {}


async def models(given: dict[str, Any], task: Task) -> object:
    return [model.id async for model in client(given).models.list()]


async def complete(given: dict[str, Any], task: Task) -> object:
    members = given.get("members", {})
    answer = await client(given).chat.completions.create(model=given["model"], messages=ASKED, **members)
    [choice] = answer.choices
    usage = answer.usage and answer.usage.model_dump()
    return {"text": choice.message.content, "finish": choice.finish_reason, "usage": usage}


async def stream(given: dict[str, Any], task: Task) -> object:
    finish, usage = None, None
    raw = await client(given).chat.completions.with_raw_response.create(
        model=given["model"],
        messages=ASKED,
        stream=True,
        stream_options={"include_usage": True},
        **signed(given),
        **given.get("members", {}),
    )
    task.tell("headers", run=raw.headers.get("x-chatorch-run"))
    async with raw.parse() as chunks:
        async for chunk in chunks:
            for choice in chunk.choices:
                if choice.delta.content:
                    task.tell("text", text=choice.delta.content)
                finish = choice.finish_reason or finish
            usage = chunk.usage.model_dump() if chunk.usage else usage
            if await task.asked("stop", given):
                break
    return {"finish": finish, "usage": usage}


async def accumulate(given: dict[str, Any], task: Task) -> object:
    async with client(given).chat.completions.stream(model=given["model"], messages=ASKED) as events:
        answer = await events.get_final_completion()
    return {"text": answer.choices[0].message.content, "finish": answer.choices[0].finish_reason}


async def converse(given: dict[str, Any], task: Task) -> None:
    """What the package gives back goes back as it is."""
    messages: list[Any] = [{"role": "system", "content": "Be brief."}]
    for text in given["texts"]:
        messages.append({"role": "user", "content": text})
        answer = await client(given).chat.completions.create(model=given["model"], messages=messages)
        messages.append(answer.choices[0].message)


serve({"models": models, "complete": complete, "stream": stream, "accumulate": accumulate, "converse": converse})
