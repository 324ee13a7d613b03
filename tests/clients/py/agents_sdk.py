"""An agent of OpenAI's Agents SDK on its model for chat completions."""

import os
from functools import lru_cache
from typing import Any

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"  # which goes to OpenAI

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
from harness import Task, serve
from openai import AsyncOpenAI


@lru_cache
def client_at(url: str, token: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key=token)


async def loop(given: dict[str, Any], task: Task) -> object:
    called: list[list[object]] = []

    @function_tool
    def weather(city: str) -> str:
        """Tells the weather."""
        called.append(["weather", {"city": city}])
        return f"Sunny in {city}."

    @function_tool
    def now() -> str:
        """Tells the time."""
        called.append(["now", {}])
        return "Noon."

    model = OpenAIChatCompletionsModel(given["model"], client_at(given["url"], given["token"]))
    agent = Agent(name="Agent", model=model, tools=[weather, now])
    if given["by"] == "stream":
        result = Runner.run_streamed(agent, "Hi")
        async for _ in result.stream_events():
            pass
    else:
        result = await Runner.run(agent, "Hi")
    return {"text": result.final_output, "called": called}


serve({"loop": loop})
