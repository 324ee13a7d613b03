"""pydantic-ai's server: its own adapters for the two clients that its pages name, in a Starlette app of one route each.

`UPSTREAM=… uvicorn bench.agents.on_pydantic_ai:app`, in an environment of its own. Its `Agent.to_web` is the second of
them behind a page. No user, nothing stored, no stream that can be read again.
"""

import os
from functools import partial

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.ui.ag_ui import AGUIAdapter
from pydantic_ai.ui.vercel_ai import VercelAIAdapter
from starlette.applications import Starlette
from starlette.routing import Route

from bench.agents.turn import INSTRUCTIONS, MODELS, TOOLS

provider = OpenAIProvider(base_url=os.environ["UPSTREAM"] + "/v1", api_key="bench")
agents = {
    load: Agent(OpenAIChatModel(model, provider=provider), instructions=INSTRUCTIONS, tools=TOOLS)
    for load, model in MODELS.items()
}


async def ag_ui(request):
    return await AGUIAdapter.dispatch_request(request, agent=agents[request.path_params["load"]])


async def ai_sdk(request):
    agent = agents[request.path_params["load"]]
    return await VercelAIAdapter.dispatch_request(request, agent=agent, sdk_version=6)


post = partial(Route, methods=["POST"])
app = Starlette(routes=[post("/ag-ui/{load}", ag_ui), post("/ai-sdk/{load}", ai_sdk)])
