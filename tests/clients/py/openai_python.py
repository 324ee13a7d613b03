"""openai-python, as its README shows it: chat completions."""

import json
from functools import lru_cache
from typing import Any

from harness import Task, serve
from openai import AsyncOpenAI, Omit, pydantic_function_tool
from pydantic import BaseModel

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
    finish, usage, called = None, None, []
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
                for call in choice.delta.tool_calls or ():
                    if call.id:
                        called.append([call.id, call.function.name, ""])
                    called[call.index][2] += call.function.arguments
                finish = choice.finish_reason or finish
            usage = chunk.usage.model_dump() if chunk.usage else usage
            if await task.asked("stop", given):
                break
    for call in called:
        task.tell("called", made=call)
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


class weather(BaseModel):
    """Tells the weather."""

    city: str


class now(BaseModel):
    """Tells the time."""


TOOLS = [pydantic_function_tool(weather), pydantic_function_tool(now)]
SAID = {"weather": lambda city: f"Sunny in {city}.", "now": lambda: "Noon."}


async def loop(given: dict[str, Any], task: Task) -> object:
    """Calls what it is asked to, until there is an answer."""
    messages, called = list(ASKED), []
    while True:
        completion = await ANSWERED[given["by"]](given, messages)
        [choice] = completion.choices
        message = choice.message
        messages.append(message)
        if choice.finish_reason != "tool_calls":
            return {"text": message.content, "called": called}
        for call in message.tool_calls:
            arguments = getattr(call.function, "parsed_arguments", None)
            arguments = arguments.model_dump() if arguments else json.loads(call.function.arguments)
            called.append([call.function.name, arguments])
            said = SAID[call.function.name](**arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": said})


async def created(given: dict[str, Any], messages: list[Any]) -> Any:
    tools, members = given.get("tools", TOOLS), given.get("members", {})
    create = client(given).chat.completions.create
    return await create(model=given["model"], messages=messages, tools=tools, **members)


async def parsed(given: dict[str, Any], messages: list[Any]) -> Any:
    return await client(given).chat.completions.parse(model=given["model"], messages=messages, tools=TOOLS)


async def streamed(given: dict[str, Any], messages: list[Any]) -> Any:
    async with client(given).chat.completions.stream(model=given["model"], messages=messages, tools=TOOLS) as events:
        return await events.get_final_completion()


ANSWERED = {"create": created, "parse": parsed, "stream": streamed}


serve(
    {
        "models": models,
        "complete": complete,
        "stream": stream,
        "accumulate": accumulate,
        "converse": converse,
        "loop": loop,
    }
)
