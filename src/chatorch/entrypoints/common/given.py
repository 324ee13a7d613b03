"""A typed way to what the application's container holds."""

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from starlette.requests import HTTPConnection
from starlette.types import Scope

C = TypeVar("C")
T = TypeVar("T")


class Given(Generic[C]):
    """`C` is a Protocol: what a door needs of the container, whoever puts that together.

    ``given = Given[Needs]()``, and then ``Annotated[Runs, Depends(given(lambda c: c.runs()))]``: mypy knows `c`.
    """

    def of(self, scope: Scope) -> C:
        container: C = scope["app"].state.container
        return container

    def __call__(self, choose: Callable[[C], T]) -> Callable[[HTTPConnection], Coroutine[Any, Any, T]]:
        """A dependency. Always a coroutine function: FastAPI sends any other through a thread."""

        async def provide(connection: HTTPConnection) -> T:
            return choose(self.of(connection.scope))

        return provide
