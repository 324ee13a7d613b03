"""LangChain's `ChatOpenAI`, from langchain-openai."""

from functools import lru_cache
from typing import Any

from harness import Task, serve
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


def chat(given: dict[str, Any]) -> ChatOpenAI:
    return chat_at(given["url"], given["token"], given["model"], given.get("responses", False))


@lru_cache
def chat_at(url: str, token: str, model: str, responses: bool) -> ChatOpenAI:
    return ChatOpenAI(base_url=f"{url}/v1", api_key=token, model=model, use_responses_api=responses)


def members(given: dict[str, Any]) -> dict[str, Any]:
    headers = {"extra_headers": given["headers"]} if "headers" in given else {}
    return {**given.get("members", {}), **headers}


async def complete(given: dict[str, Any], task: Task) -> object:
    return told(await chat(given).ainvoke("Hi", **members(given)))


async def stream(given: dict[str, Any], task: Task) -> object:
    whole = None
    chunks = chat(given).astream("Hi", **members(given))
    async for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
        if chunk.text:
            task.tell("text", text=chunk.text)
        if await task.asked("stop", given):
            await chunks.aclose()
            break
    return told(whole)


def told(message: Any) -> dict[str, Any]:
    counts, metadata = message.usage_metadata, message.response_metadata
    usage = counts and {"prompt_tokens": counts["input_tokens"], "completion_tokens": counts["output_tokens"]}
    return {"text": message.text, "finish": metadata.get("finish_reason") or metadata.get("status"), "usage": usage}


async def converse(given: dict[str, Any], task: Task) -> None:
    messages: list[BaseMessage] = [SystemMessage("Be brief.")]
    for text in given["texts"]:
        messages.append(HumanMessage(text))
        messages.append(await chat(given).ainvoke(messages))


@tool
def weather(city: str) -> str:
    """Tells the weather."""
    return f"Sunny in {city}."


@tool
def now() -> str:
    """Tells the time."""
    return "Noon."


async def loop(given: dict[str, Any], task: Task) -> object:
    """Calls what it is asked to, until there is an answer."""
    tools = {each.name: each for each in (weather, now)}
    model = chat(given).bind_tools(list(tools.values()))
    messages: list[BaseMessage] = [HumanMessage("Hi")]
    called = []
    while True:
        answer = await (streamed if given["by"] == "stream" else invoked)(model, messages)
        messages.append(answer)
        if not answer.tool_calls:
            return {"text": answer.text, "called": called}
        for call in answer.tool_calls:
            called.append([call["name"], call["args"]])
            messages.append(await tools[call["name"]].ainvoke(call))


async def invoked(model: Any, messages: list[BaseMessage]) -> Any:
    return await model.ainvoke(messages)


async def streamed(model: Any, messages: list[BaseMessage]) -> Any:
    whole = None
    async for chunk in model.astream(messages):
        whole = chunk if whole is None else whole + chunk
    return whole


serve({"complete": complete, "stream": stream, "converse": converse, "loop": loop})
