"""ChatKit's own server, as the quickstart of its package builds it: an agent of the Agents SDK, a store in memory.

Nobody signs in, and nothing outlives the process. `UPSTREAM=… uvicorn bench.quickstart:app`
"""

import os

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from chatkit.agents import AgentContext, simple_to_agent_input, stream_agent_response
from chatkit.server import ChatKitServer, StreamingResult
from chatkit.store import NotFoundError, Store
from chatkit.types import Page
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

set_tracing_disabled(True)
openai = AsyncOpenAI(api_key="none", base_url=os.environ.get("UPSTREAM", "") + "/v1")


class MemoryStore(Store[dict]):
    """Threads and items, newest last, each under its id."""

    def __init__(self):
        self.threads = {}
        self.items = {}

    async def load_thread(self, thread_id, context):
        if thread_id not in self.threads:
            raise NotFoundError(thread_id)
        return self.threads[thread_id]

    async def save_thread(self, thread, context):
        self.threads[thread.id] = thread

    async def load_threads(self, limit, after, order, context):
        return page(self.threads, limit, after, order)

    async def delete_thread(self, thread_id, context):
        self.threads.pop(thread_id, None)
        self.items.pop(thread_id, None)

    async def load_thread_items(self, thread_id, after, limit, order, context):
        return page(self.items.get(thread_id, {}), limit, after, order)

    async def add_thread_item(self, thread_id, item, context):
        self.items.setdefault(thread_id, {})[item.id] = item

    async def save_item(self, thread_id, item, context):
        self.items.setdefault(thread_id, {})[item.id] = item

    async def load_item(self, thread_id, item_id, context):
        return self.items[thread_id][item_id]

    async def delete_thread_item(self, thread_id, item_id, context):
        self.items[thread_id].pop(item_id, None)

    async def save_attachment(self, attachment, context):
        raise NotImplementedError

    async def load_attachment(self, attachment_id, context):
        raise NotImplementedError

    async def delete_attachment(self, attachment_id, context):
        raise NotImplementedError


def page(rows, limit, after, order):
    ordered = list(reversed(rows.values()) if order == "desc" else rows.values())
    start = 0 if after is None else next(i for i, row in enumerate(ordered, 1) if row.id == after)
    data = ordered[start : start + limit]
    more = start + limit < len(ordered)
    return Page(data=data, has_more=more, after=data[-1].id if more else None)


class Server(ChatKitServer[dict]):
    async def respond(self, thread, input_user_message, context):
        recent = await self.store.load_thread_items(thread.id, None, 20, "desc", context)
        asked = await simple_to_agent_input(list(reversed(recent.data)))
        model = OpenAIChatCompletionsModel(input_user_message.inference_options.model, openai)
        agent = Agent[AgentContext](name="Assistant", instructions="You are a helpful assistant.", model=model)
        told = AgentContext(thread=thread, store=self.store, request_context=context)
        async for event in stream_agent_response(told, Runner.run_streamed(agent, asked, context=told)):
            yield event


app = FastAPI()
server = Server(MemoryStore())


@app.post("/chatkit")
async def chatkit(request: Request):
    result = await server.process(await request.body(), context={})
    if isinstance(result, StreamingResult):
        return StreamingResponse(result, media_type="text/event-stream")
    return Response(result.json, media_type="application/json")
