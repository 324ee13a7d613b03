"""An agent of pydantic-ai on its OpenAI model."""

from functools import lru_cache
from typing import Any

from harness import Task, serve
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


def agent(given: dict[str, Any]) -> Agent[None, str]:
    settings = {"extra_body": given.get("members", {}), "extra_headers": given.get("headers", {})}
    kind = OpenAIResponsesModel if given.get("responses") else OpenAIChatModel
    return Agent(kind(given["model"], provider=provider(given["url"], given["token"])), model_settings=settings)


@lru_cache
def provider(url: str, token: str) -> OpenAIProvider:
    return OpenAIProvider(openai_client=AsyncOpenAI(base_url=f"{url}/v1", api_key=token))


async def complete(given: dict[str, Any], task: Task) -> object:
    result = await agent(given).run("Hi")
    return {"text": result.output, "finish": result.response.finish_reason, "usage": told(result.response.usage)}


async def stream(given: dict[str, Any], task: Task) -> object:
    async with agent(given).run_stream("Hi") as result:
        async for piece in result.stream_text(delta=True, debounce_by=None):
            task.tell("text", text=piece)
            if await task.asked("stop", given):
                return {"finish": None, "usage": None}
    return {"finish": result.response.finish_reason, "usage": told(result.response.usage)}


def told(usage: Any) -> dict[str, Any]:
    return {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens}


async def converse(given: dict[str, Any], task: Task) -> None:
    history = None
    for text in given["texts"]:
        result = await agent(given).run(text, message_history=history, instructions="Be brief.")
        history = result.all_messages()


async def loop(given: dict[str, Any], task: Task) -> object:
    """The agent calls what it is asked to, until there is an answer."""
    called: list[list[object]] = []
    asked = agent(given)

    @asked.tool_plain
    def weather(city: str) -> str:
        """Tells the weather."""
        called.append(["weather", {"city": city}])
        return f"Sunny in {city}."

    @asked.tool_plain
    def now() -> str:
        """Tells the time."""
        called.append(["now", {}])
        return "Noon."

    async def heard(_: Any, events: Any) -> None:
        async for _ in events:
            pass

    result = await asked.run("Hi", event_stream_handler=heard if given["by"] == "stream" else None)
    return {"text": result.output, "called": called}


serve({"complete": complete, "stream": stream, "converse": converse, "loop": loop})
