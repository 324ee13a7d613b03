"""openai-python's Responses and Conversations, as its documentation shows them."""

from functools import lru_cache
from typing import Any

from harness import Task, serve
from openai import APIConnectionError, AsyncOpenAI, pydantic_function_tool
from pydantic import BaseModel


def client(given: dict[str, Any]) -> AsyncOpenAI:
    return client_at(given["url"], given["token"])


@lru_cache
def client_at(url: str, token: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key=token)


def shown(response: Any) -> dict[str, Any]:
    return {
        "id": response.id,
        "status": response.status,
        "text": response.output_text,
        "error": response.error and response.error.model_dump(),
        "usage": response.usage and response.usage.model_dump(),
        "conversation": response.conversation and response.conversation.id,
        "background": response.background,
    }


def asked(given: dict[str, Any]) -> dict[str, Any]:
    return {"model": given["model"], "input": given.get("input", "Hi"), **given.get("members", {})}


async def respond(given: dict[str, Any], task: Task) -> object:
    return shown(await client(given).responses.create(**asked(given)))


async def watch(given: dict[str, Any], task: Task) -> object:
    """As the guide to background mode has it: who is cut off asks for the events after the last one that came."""
    events = await client(given).responses.create(stream=True, **{"background": True, **asked(given)})
    response, last, breaks = None, None, 0
    while True:
        try:
            async for event in events:
                last = event.sequence_number
                response = getattr(event, "response", response)
                tell(event, task)
        except APIConnectionError:
            if response is None:
                raise
        else:
            assert response is not None
            return {**shown(response), "breaks": breaks}
        breaks += 1
        task.tell("broken")
        if given.get("waits") == "come back":
            await task.heard("come back")
        events = await client(given).responses.retrieve(response.id, stream=True, starting_after=last)


async def unkept(given: dict[str, Any], task: Task) -> None:
    """Without anything kept: what the package gives back goes back as it is."""
    items: list[Any] = []
    for text in given["texts"]:
        items.append({"role": "user", "content": text})
        response = await client(given).responses.create(model=given["model"], input=items, store=False)
        items += response.output


async def events(given: dict[str, Any], task: Task) -> object:
    after = {"starting_after": given["after"]} if "after" in given else {}
    async for event in await client(given).responses.retrieve(given["id"], stream=True, **after):
        tell(event, task)


def tell(event: Any, task: Task) -> None:
    if response := getattr(event, "response", None):
        task.tell("response", id=response.id, status=response.status)
    if event.type == "response.output_text.delta":
        task.tell("text", text=event.delta)
    task.tell("event", event=event.model_dump(mode="json", exclude_unset=True))


async def accumulate(given: dict[str, Any], task: Task) -> object:
    """The package's own accumulation, of a new response or of one that was begun."""
    after = {"starting_after": given["after"]} if "after" in given else {}
    begun = {"response_id": given["id"], **after} if "id" in given else asked(given)
    async with client(given).responses.stream(**begun) as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                task.tell("text", text=event.delta)
        return shown(await stream.get_final_response())


class Weather(BaseModel):
    """Tells the weather."""

    city: str


async def functions(given: dict[str, Any], task: Task) -> object:
    """As the guide to function calling has it, but that the package knows what was called for."""
    api, tools = client(given).responses, [pydantic_function_tool(Weather, name="weather")]
    asked: dict[str, Any] = {"model": given["model"], "tools": tools}
    history: list[Any] = [{"role": "user", "content": "How is it?"}]
    more: dict[str, Any] = {"input": history, **({} if given["kept"] else {"store": False})}
    while True:
        if given["streams"]:
            async with api.stream(**asked, **more) as stream:
                async for event in stream:
                    task.tell("event", event=event.type)
                response = await stream.get_final_response()
        else:
            response = await api.parse(**asked, **more)
        outputs: list[Any] = []
        for item in response.output:
            if item.type == "function_call":
                assert isinstance(item.parsed_arguments, Weather)
                said = f"sunny in {item.parsed_arguments.city}"
                outputs.append({"type": "function_call_output", "call_id": item.call_id, "output": said})
        if not outputs:
            return shown(response)
        history += [*response.output, *outputs]
        more = {"input": outputs, "previous_response_id": response.id} if given["kept"] else more


async def kinds(given: dict[str, Any], task: Task) -> object:
    return [item.type async for item in client(given).responses.input_items.list(given["id"], order="asc")]


async def retrieve(given: dict[str, Any], task: Task) -> object:
    return shown(await client(given).responses.retrieve(given["id"]))


async def cancel(given: dict[str, Any], task: Task) -> object:
    return shown(await client(given).responses.cancel(given["id"]))


async def remove(given: dict[str, Any], task: Task) -> object:
    return await client(given).responses.delete(given["id"])


async def inputs(given: dict[str, Any], task: Task) -> object:
    return [[item.role, item.content[0].text] async for item in client(given).responses.input_items.list(given["id"])]


async def converse(given: dict[str, Any], task: Task) -> object:
    return (await client(given).conversations.create(**given.get("members", {}))).id


async def conversation(given: dict[str, Any], task: Task) -> object:
    return (await client(given).conversations.retrieve(given["id"])).model_dump(mode="json")


async def forget(given: dict[str, Any], task: Task) -> object:
    await client(given).conversations.delete(given["id"])


async def items(given: dict[str, Any], task: Task) -> object:
    listed = client(given).conversations.items.list(given["id"], order="asc")
    return [[item.role, item.content[0].text] async for item in listed]


serve(
    {
        "respond": respond,
        "watch": watch,
        "unkept": unkept,
        "events": events,
        "accumulate": accumulate,
        "functions": functions,
        "kinds": kinds,
        "retrieve": retrieve,
        "cancel": cancel,
        "remove": remove,
        "inputs": inputs,
        "converse": converse,
        "conversation": conversation,
        "forget": forget,
        "items": items,
    }
)
