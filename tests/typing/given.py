"""Read by mypy alone (`make lint`): a wrong name, and a wrong type, of what a route takes from the container is found.

Where mypy saw nothing, it would say that a comment here ignores nothing.
"""

from typing import Protocol

from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.api.needs import Needs, given
from chatorch.entrypoints.common.given import Given
from chatorch.entrypoints.container import Container

right = given(lambda c: c.runs())
misspelt = given(lambda c: c.rnus())  # type: ignore[attr-defined]
of_another_door = given(lambda c: c.sockets())  # type: ignore[attr-defined]
not_called = given(lambda c: c.runs)


async def takes(runs: Runs) -> None: ...


async def route(needs: Needs) -> None:
    await takes(needs.runs())
    await takes(needs.conversations())  # type: ignore[arg-type]
    await takes(needs.runs)  # type: ignore[arg-type]


class Swapped(Protocol):
    def runs(self) -> Conversations: ...


def the_container_has_it_as_another(container: Container) -> Swapped:
    return container  # type: ignore[return-value]


from_outside = Given[Swapped]()(lambda c: c.runs())
