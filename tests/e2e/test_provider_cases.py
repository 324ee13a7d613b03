"""What providers really send, over real sockets and every door: what is stored of it, and what the client is shown."""

import pytest

from tests.support import upstream as play
from tests.support.accounts import sign_up
from tests.support.eventually import eventually
from tests.support.provider_cases import DOORS, Trial
from tests.support.provider_table import CASES
from tests.support.server import Server
from tests.support.sizes import size
from tests.support.sockets import Caller, calling
from tests.support.upstream import Upstream
from tests.support.ws import doors_of


@pytest.mark.soak
@pytest.mark.parametrize("part", range(4))
async def test_what_a_provider_sends_ends_as_it_should(server: Server, upstream: Upstream, part: int) -> None:
    """Half of each kind over one door; `make soak` has each case over all of them."""
    reader = f"reader{part}"
    await sign_up(server, reader)
    faults = len(server.errors)
    wrong = []
    async with calling(server, reader) as caller, doors_of(server.port) as socket:
        trial = Trial(upstream, caller, socket, server.tokens[reader])
        for number, case in enumerate(CASES[part :: size(8, 4)]):
            for step in range(size(1, len(DOORS))):
                door = DOORS[(number + step) % len(DOORS)]
                outcome = await trial.of(case, door)
                if not outcome.is_right(case):
                    wrong.append((door, case, outcome))
    assert wrong == []
    assert server.errors[faults:] == [], "what a provider does is no fault of ours"
    assert len(CASES) > 400


async def test_what_was_sent_for_nothing_is_counted(server: Server, upstream: Upstream) -> None:
    words = [
        play.raw(b"data: null\n\n"),
        play.raw(b"data: ]\n\n"),
        play.text("Hi"),
        play.finish(),
        play.raw(b"data: {bro\n\n"),
    ]
    async with calling(server) as caller:
        before = await dropped(caller)
        answer = await (await caller.say("Hi", model=upstream.model(*words), stream=False)).ended()
        assert answer.json["response"] == "Hi"

        async def are_counted() -> bool:
            return await dropped(caller) == before + 3

        await eventually(are_counted)


async def dropped(caller: Caller) -> float:
    text = (await caller.get("/metrics")).body.decode()
    [line] = [line for line in text.splitlines() if line.startswith("chatorch_provider_payloads_dropped_total ")]
    return float(line.split()[1])
