"""What one gets by following the usual tutorials: FastAPI, AsyncOpenAI, one event a chunk; nothing is stored."""

import json
import os
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from pydantic import BaseModel

app = FastAPI()
openai = AsyncOpenAI(api_key="none", base_url=os.environ.get("UPSTREAM", "") + "/v1")


class Question(BaseModel):
    model: str
    messages: list[dict[str, Any]]
    stream: bool = False


@app.post("/api/chat")
async def chat(question: Question):
    if question.stream:
        return StreamingResponse(pieces(question), media_type="text/event-stream")
    answer = await openai.chat.completions.create(model=question.model, messages=question.messages)
    return {"response": answer.choices[0].message.content}


async def pieces(question: Question):
    chunks = await openai.chat.completions.create(model=question.model, messages=question.messages, stream=True)
    async for chunk in chunks:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            yield f"data: {json.dumps({'text': text})}\n\n"


@app.post("/v1/chat/completions")
async def completions(question: Question):
    if question.stream:
        return StreamingResponse(chunks(question), media_type="text/event-stream")
    return await openai.chat.completions.create(model=question.model, messages=question.messages)


async def chunks(question: Question):
    stream = await openai.chat.completions.create(model=question.model, messages=question.messages, stream=True)
    async for chunk in stream:
        yield f"data: {chunk.model_dump_json()}\n\n"
    yield "data: [DONE]\n\n"
