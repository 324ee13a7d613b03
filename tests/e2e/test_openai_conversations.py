"""OpenAI's Conversations by its own library, unmodified, against a real server."""

from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI

from tests.support.accounts import sign_up
from tests.support.server import Server
from tests.support.upstream import Upstream, done, finish, pause, text
from tests.support.upstream_parts import thinks

pytestmark = pytest.mark.long  # tests/clients asks the same of the door, with this client among others

SAID = [text("Hello"), finish(), done()]


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(server) as client:
        yield client


def client_of(server: Server, username: str = "alice") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{server.url}/v1", api_key=server.tokens[username])


async def test_a_conversation_is_a_thread(client: AsyncOpenAI, server: Server, upstream: Upstream):
    empty = await client.conversations.create()
    assert empty.metadata == {}
    made = await client.conversations.create(
        items=[{"role": "developer", "content": "In verse."}, {"role": "user", "content": "Hi"}], metadata={"a": "b"}
    )
    assert (await client.conversations.retrieve(made.id)).to_dict() == made.to_dict()
    assert (await client.conversations.update(made.id, metadata={"c": "d"})).metadata == {"c": "d"}
    model = upstream.model([*thinks("Hm"), *SAID])
    response = await client.responses.create(model=model, input="Go on", conversation=made.id)
    assert response.conversation.id == made.id
    asked = [(said["role"], said["content"]) for said in upstream.seen(model)[0].body["messages"]]
    assert asked == [("system", "In verse."), ("user", "Hi\n\nGo on")]
    listed = [item async for item in client.conversations.items.list(made.id, order="asc", limit=1)]
    assert [item.type for item in listed] == ["message"] * 3 + ["reasoning", "message"]
    assert [item.id for item in listed[3:]] == [item.id for item in response.output]
    assert [item.id async for item in client.conversations.items.list(made.id, limit=2)] == [
        item.id for item in reversed(listed)
    ]
    for item in listed:
        found = await client.conversations.items.retrieve(item.id, conversation_id=made.id)
        assert found.to_dict() == item.to_dict()
    first = await client.responses.create(model=model, input="First", conversation={"id": empty.id})
    assert [item.content[0].text async for item in client.responses.input_items.list(first.id)] == ["First"]
    async with await server.client() as alice:
        thread = (await alice.get(f"/api/threads/{made.id.replace('conv', 'thr')}")).json()
        assert (thread["title"], thread["metadata"]) == ("Hi", {"c": "d"})
        thread = (await alice.get(f"/api/threads/{empty.id.replace('conv', 'thr')}")).json()
        assert thread["title"] == "First"  # not before anything was said


async def test_items_are_put_in_and_taken_out(client: AsyncOpenAI, upstream: Upstream):
    made = await client.conversations.create()
    added = await client.conversations.items.create(
        made.id, items=[{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}]
    )
    assert [item.content[0].text for item in added.data] == ["One", "Two"]
    await client.conversations.items.delete(added.data[0].id, conversation_id=made.id)
    assert [item.id async for item in client.conversations.items.list(made.id)] == [added.last_id]
    with pytest.raises(openai.NotFoundError):
        await client.conversations.items.retrieve(added.data[0].id, conversation_id=made.id)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.conversations.items.create(made.id, items=[{"role": "user", "content": " "}])
    assert refused.value.param == "items[0].content"
    model = upstream.model(SAID)
    response = await client.responses.create(model=model, input="Hi", conversation=made.id)
    await client.responses.delete(response.id)
    assert [item.id async for item in client.conversations.items.list(made.id)] == [added.last_id]


async def test_a_conversation_is_its_owners_and_goes_with_all_that_is_in_it(
    client: AsyncOpenAI, server: Server, upstream: Upstream
):
    made = await client.conversations.create(items=[{"role": "user", "content": "Hi"}])
    other = await client.conversations.create()
    [item] = (await client.conversations.items.list(made.id)).data
    await sign_up(server, "carol")
    async with client_of(server, "carol") as carol:
        for what in (
            carol.conversations.retrieve(made.id),
            carol.conversations.update(made.id, metadata={}),
            carol.conversations.delete(made.id),
            carol.conversations.items.list(made.id),
            carol.conversations.items.create(made.id, items=[{"role": "user", "content": "Hi"}]),
            carol.conversations.items.retrieve(item.id, conversation_id=made.id),
            carol.conversations.items.delete(item.id, conversation_id=made.id),
            client.conversations.items.retrieve(item.id, conversation_id=other.id),
            client.conversations.items.delete(item.id, conversation_id=other.id),
        ):
            with pytest.raises(openai.NotFoundError):
                await what
    model = upstream.model([text("Hel"), pause("conversation-deleted")])
    response = await client.responses.create(model=model, input="Hi", conversation=made.id, background=True)
    with pytest.raises(openai.ConflictError) as busy:
        await client.responses.create(model=model, input="Hi", conversation=made.id)
    assert busy.value.code == "thread_busy"
    assert len(upstream.seen(model)) <= 1
    assert (await client.conversations.delete(made.id)).deleted
    for gone in (client.conversations.retrieve(made.id), client.responses.retrieve(response.id)):
        with pytest.raises(openai.NotFoundError):
            await gone


async def test_a_thread_of_another_door_goes_on_as_a_conversation(
    client: AsyncOpenAI, server: Server, upstream: Upstream
):
    model = upstream.model(SAID)
    async with await server.client() as alice:
        body = {"messages": [{"role": "user", "content": "Hi"}], "model": model}
        answer = (await alice.post("/api/chat/protected", json=body)).json()
        earlier = await client.responses.retrieve(answer["run_id"].replace("run_", "resp_"))
        assert earlier.output_text == "Hello"
        response = await client.responses.create(model=model, input="More", previous_response_id=earlier.id)
        messages = (await alice.get(f"/api/threads/{answer['thread_id']}/messages")).json()["data"]
        assert [message["content"] for message in messages] == ["Hi", "Hello", "More", "Hello"]
        assert response.conversation.id == earlier.conversation.id
