"""What a function says of itself to a model, and what it is given."""

import enum
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, SecretStr

from chatorch.adapters.tools.python import PythonTools, UnusableTool
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.tools import Tool
from chatorch.tools import Scope, ToolArgumentsInvalid, ToolContext, ToolError, ToolOutput, tool
from tests.support.tool_calls import CONTEXT, output

SECRET = "hunter2"
UNSET = object()


class Unit(enum.Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


class Place(BaseModel, extra="forbid"):
    """Where."""

    city: str
    lines: list[int] = []


@dataclass
class Span:
    begin: date
    days: Annotated[int, Field(ge=1, le=7)] = 1


def offered(function: Callable[..., Any]) -> Tool:
    [one] = PythonTools([function]).offered()
    return one


def test_a_plain_function_is_a_tool_with_safe_defaults():
    def weather(city: str, days: int = 1) -> str:
        """Tells the weather.

        For a week at most.
        """
        return f"{city} {days}"

    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1}},
        "required": ["city"],
        "additionalProperties": False,
    }
    assert offered(weather) == Tool("weather", "Tells the weather.\n\nFor a week at most.", parameters)


def test_options_are_the_decorators():
    @tool(name="wipe-all", needs_approval=True, idempotent=True, scope="admin")
    def wipe() -> None: ...

    parameters = {"type": "object", "properties": {}, "additionalProperties": False}
    expected = Tool("wipe-all", "", parameters, needs_approval=True, idempotent=True, scope=Scope.ADMIN)
    assert offered(wipe) == expected


def test_all_that_pydantic_has_a_schema_for_can_be_taken_whatever_its_name():
    async def everything(  # noqa: PLR0913, RUF100
        model_config: str,
        schema: Place,
        _unit: Unit = Unit.CELSIUS,
        *,
        self: Optional[datetime] = None,  # noqa: UP045
        json: Annotated[int, Field(description="How many.", gt=0)] = 3,
        model_dump: Literal["up", "down"] = "up",
        span: Span | None = None,
        copy: int = Field(4, description="Of FastAPI's way."),
        pair: tuple[int, str] = (1, "a"),
        unset: Any = UNSET,
    ) -> str:
        given = [model_config, schema, _unit, self, json, model_dump, span, copy, pair, unset is UNSET]
        return repr(given)

    members = offered(everything).parameters["properties"]
    assert list(members) == list(everything.__annotations__)[:-1]
    assert members["json"] == {"type": "integer", "description": "How many.", "exclusiveMinimum": 0, "default": 3}
    assert members["model_dump"] == {"type": "string", "enum": ["up", "down"], "default": "up"}
    assert members["copy"] == {"type": "integer", "description": "Of FastAPI's way.", "default": 4}
    assert members["unset"] == {}
    json.dumps(offered(everything).parameters, allow_nan=False)


async def test_arguments_are_what_pydantic_makes_of_json():
    def kinds(place: Place, unit: Unit, span: Span, ids: set[int], at: datetime, count: int) -> str:
        return repr((place, unit, span, ids, at, count))

    given = {
        "place": {"city": "Rome"},
        "unit": "f",
        "span": {"begin": "2026-01-02"},
        "ids": [1, 1, "2"],
        "at": "2026-01-02T03:04:05Z",
        "count": "3",
    }
    said = (await output(PythonTools([kinds]), "kinds", given)).content
    assert said.startswith(
        "(Place(city='Rome', lines=[]), <Unit.FAHRENHEIT: 'f'>, Span(begin=datetime.date(2026, 1, 2)"
    )
    assert "{1, 2}" in said
    assert said.endswith(", 3)")


async def test_a_default_is_the_functions_own_and_not_a_copy():
    def defaults(
        first: int = 1,
        /,
        *,
        same: Any = UNSET,
        declared: int = Field(4),
        annotated: Annotated[int, Field(default=5)],
        made: Annotated[list[int], Field(default_factory=list)],
    ) -> str:
        return f"{first} {same is UNSET} {declared} {annotated} {made}"

    tools = PythonTools([defaults])
    assert (await output(tools, "defaults")).content == "1 True 4 5 []"
    assert (await output(tools, "defaults", first=2, same=3, declared=5)).content == "2 False 5 5 []"


async def test_the_context_is_given_wherever_it_is_asked_for_and_the_model_is_not_told():
    def asks(
        before: ToolContext, /, city: str, maybe: ToolContext | None = None, *, why: Annotated[ToolContext, "text"]
    ) -> str:
        return f"{city} {before is CONTEXT} {maybe is CONTEXT} {why.idempotency_key}"

    tools = PythonTools([asks])
    assert set(tools.offered()[0].parameters["properties"]) == {"city"}
    assert (await output(tools, "asks", city="Rome")).content == "Rome True True run_1:0"
    with pytest.raises(ToolArgumentsInvalid):
        await output(tools, "asks", city="Rome", why="forged")


async def test_a_method_and_a_wrapped_function_are_tools():
    class Shop:
        def price(self, item: str) -> str:
            """Of an item."""
            return f"{item} at {type(self).__name__}"

    def shouting(function: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(function)
        def shouted(*args: Any, **kwargs: Any) -> str:
            return function(*args, **kwargs).upper()

        return shouted

    @shouting
    @tool(name="loud")
    def quiet(text: str) -> str:
        return text

    tools = PythonTools([Shop().price, quiet])
    assert (await output(tools, "price", item="tea")).content == "tea at Shop"
    assert (await output(tools, "loud", text="tea")).content == "TEA"


class Opaque: ...


class Asking(BaseModel):
    who: Principal


def variadic(*args: int) -> None: ...
def keywords(**kwargs: int) -> None: ...
def opaque(city: str, thing: Opaque) -> None: ...
def callback(then: Callable[[], int]) -> None: ...
def unknown(city: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def forged(contexts: list[ToolContext]) -> None: ...
def forged_within(asking: Asking) -> None: ...
def forged_principal(who: Principal | None = None) -> None: ...
def größe() -> None: ...  # noqa: N802, PLC2401, RUF100


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (variadic, "variadic: it takes *args: each parameter must have a name"),
        (keywords, "keywords: it takes **kwargs: each parameter must have a name"),
        (opaque, "opaque: its parameter thing has a type that JSON has no schema for"),
        (callback, "callback: its parameter then has a type that JSON has no schema for"),
        (unknown, "unknown: its annotations cannot be read: Nowhere is not known in its module"),
        (forged, "forged: a model must not say who is asking"),
        (forged_within, "forged_within: a model must not say who is asking"),
        (forged_principal, "forged_principal: a model must not say who is asking"),
        (größe, r"'gr\\xf6\\xdfe': a name is 1 to 64 of the letters"),
        (tool(name="a" * 65)(lambda: None), "a name is 1 to 64 of the letters"),
        (lambda: None, "'<lambda>': a name is"),
        (functools.partial(opaque, thing=SECRET), "a partial is no function"),
        (Opaque, "a type is no function"),
        (3, "a int is no function"),
    ],
)
def test_what_cannot_be_a_tool_says_why(function: Any, reason: str):
    with pytest.raises(UnusableTool) as caught:
        PythonTools([function])
    assert reason.replace("\\\\", "\\") in str(caught.value)
    assert SECRET not in str(caught.value)


def test_two_of_one_name_are_refused():
    with pytest.raises(UnusableTool, match="variant: two tools have this name"):
        PythonTools([tool(name="variant")(lambda: None), tool(name="variant")(lambda: None)])


def test_a_long_description_ends_with_a_paragraph():
    def long() -> None: ...

    long.__doc__ = "First.\n\n" + "\n\n".join("x" * 300 for _ in range(9))
    assert offered(long).description == "First.\n\n" + "\n\n".join(["x" * 300] * 3)
    long.__doc__ = "x" * 5000
    assert offered(long).description == "x" * 1023 + "…"


def positive(value: int) -> int:
    if value < 0:
        raise ValueError(f"not {value}: {SECRET}")
    if value == 1:
        raise ToolArgumentsInvalid("One is taken.")
    if value == 2:
        raise RuntimeError(SECRET)
    if value == 3:
        raise TypeError(SECRET)
    return value


def picky(
    city: str,
    *,
    days: Annotated[int, Field(ge=1)] = 1,
    place: Place | None = None,
    unit: Unit = Unit.CELSIUS,
    counts: dict[str, int] = {},  # noqa: B006
    when: date | None = None,
    checked: Annotated[int, AfterValidator(positive)] = 0,
    either: int | list[int] = 0,
    key: SecretStr | None = None,
) -> str:
    return city


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "city: is missing"),
        ({"city": 3}, "city: must be a valid string"),
        ({"city": "x", SECRET: 1}, "the object: has a member that the schema does not have"),
        ({"city": "x", "place": {"city": "x", SECRET: 1}}, "place: has a member that the schema does not have"),
        ({"city": "x", "place": {"city": "x", "lines": [1, SECRET]}}, "place.lines[1]: must be a valid integer"),
        ({"city": "x", "days": 0}, "days: must be greater than or equal to 1"),
        ({"city": "x", "unit": SECRET}, "unit: must be 'c' or 'f'"),
        ({"city": "x", "counts": {SECRET: SECRET}}, "counts: must be a valid integer"),
        ({"city": "x", "when": SECRET}, "when: must be a valid date or datetime"),
        ({"city": "x", "checked": -1}, "checked: is not valid"),
        ({"city": "x", "either": [SECRET]}, "either[0]: must be a valid integer"),
        ({"city": "\ud800"}, "is not JSON"),
        ({"city": float("nan")}, "are not JSON"),
    ],
)
async def test_arguments_that_do_not_fit_are_named_and_never_repeated(given: dict[str, Any], text: str):
    with pytest.raises(ToolArgumentsInvalid) as caught:
        await output(PythonTools([picky]), "picky", given)
    assert text in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_many_problems_are_a_short_text():
    with pytest.raises(ToolArgumentsInvalid) as caught:
        await output(PythonTools([picky]), "picky", {"either": ["x"] * 1000})
    assert len(str(caught.value)) < 1000
    assert str(caught.value).endswith(" more")


async def test_a_validator_may_refuse_in_words_of_its_own_and_fail_without():
    tools = PythonTools([picky])
    with pytest.raises(ToolArgumentsInvalid, match="One is taken"):
        await output(tools, "picky", city="x", checked=1)
    for number, error in ((2, RuntimeError), (3, TypeError)):
        with pytest.raises(ToolError, match="The tool failed") as caught:
            await output(tools, "picky", city="x", checked=number)
        assert isinstance(caught.value.__cause__, error)


async def test_arguments_may_be_any_mapping():
    given = MappingProxyType({"city": "Rome"})
    assert [said async for said in PythonTools([picky]).call("picky", given, CONTEXT)] == [ToolOutput("Rome")]


deep = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
members = st.sampled_from(["city", "days", "place", "unit", "counts", "when", "checked", "either", "key", "other"])
PICKY = PythonTools([picky])


@given(st.dictionaries(members, deep, max_size=5))
async def test_whatever_is_given_it_fits_or_is_told(given: dict[str, Any]):
    try:
        said = await output(PICKY, "picky", given)
    except ToolError as error:
        text = str(error)
        assert len(text) < 2000
        text.encode()
    else:
        said.content.encode()
