"""Read by mypy alone (`make lint`): marking a function as a tool leaves its type what it was."""

from collections.abc import AsyncGenerator

from chatorch.tools import Scope, ToolContext, ToolOutput, tool


@tool
def plain(city: str) -> str:
    return city


@tool(name="add", needs_approval=True, idempotent=True, scope="admin")
async def with_options(left: int, right: int, context: ToolContext) -> int:
    return left + right


@tool(scope=Scope.CHAT)
async def generator(count: int) -> AsyncGenerator[int | ToolOutput]:
    yield count
    yield ToolOutput("done")


async def uses(context: ToolContext) -> None:
    text: str = plain("Paris")
    plain(3)  # type: ignore[arg-type]
    total: int = await with_options(1, 2, context)
    await with_options(1, 2)  # type: ignore[call-arg]
    async for said in generator(3):
        said.upper()  # type: ignore[union-attr]
    print(text, total)  # noqa: T201


tool(3)  # type: ignore[call-overload]
tool(scope="root")  # type: ignore[call-overload]
