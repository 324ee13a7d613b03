"""The graphs that LangGraph's server, or Aegra, is given: LangChain's agent, one for each load.

Loaded by path, in an environment of its own, with `UPSTREAM` set.
"""

import os

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

from bench.agents.turn import INSTRUCTIONS, MODELS, TOOLS


def graph(load):
    model = ChatOpenAI(
        model=MODELS[load], base_url=os.environ["UPSTREAM"] + "/v1", api_key="bench", stream_usage=True, max_retries=0
    )
    return create_agent(model, tools=list(TOOLS), system_prompt=INSTRUCTIONS)


burst, paced = graph("burst"), graph("paced")
