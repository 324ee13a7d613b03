"""What a client asks for, and what an answer looks like: https://platform.openai.com/docs/api-reference/chat/create."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import FailFast, Field, StrictBool, StrictStr

from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.generation import Generation
from chatorch.entrypoints.common.fields import (
    MAX_MESSAGES,
    Described,
    ModelName,
    ReasoningEffort,
    ResponseFormat,
    Temperature,
    TokenLimit,
)
from chatorch.entrypoints.common.message_fields import CallId
from chatorch.entrypoints.common.tool_fields import (
    NamedToolIn,
    ToolChoiceIn,
    ToolName,
    ToolsIn,
    choice_of,
    clients_tools,
)
from chatorch.entrypoints.openai.defaults import only
from chatorch.entrypoints.openai.metadata import Pairs
from chatorch.entrypoints.openai.strict import Request, require_known

PLAIN_TEXT = "text"

_FORMATS = {PLAIN_TEXT: {"type"}, "json_object": {"type"}, "json_schema": {"type", "json_schema"}}
_SCHEMA = frozenset({"name", "schema", "strict", "description"})
MAX_CALLS = 200
"""Of one message."""


class CalledFunctionIn(Request):
    """`arguments` are what a model said, which need not be JSON."""

    name: ToolName
    arguments: StrictStr

    parsed_arguments: Any = None  # the package has them, and sends them back


class CallIn(Request):
    id: CallId
    type: Literal["function"] | None = None
    function: CalledFunctionIn

    index: Annotated[int | None, Field(strict=True)] = None  # of who has put the call together from chunks


class MessageIn(Request):
    """`content` is text, or a list of parts: `messages` reads it."""

    role: StrictStr
    content: Annotated[Any, Field(description="Text, or parts of type text")] = None
    refusal: StrictStr | None = None
    tool_call_id: StrictStr | None = None
    name: Any = None
    audio: Annotated[Any, only()] = None
    function_call: Annotated[Any, only()] = None
    tool_calls: Annotated[list[CallIn], Field(max_length=MAX_CALLS, fail_fast=True)] | None = None

    # An answer of ours has them, and may come back as it is
    annotations: list[Any] | None = None
    reasoning_content: StrictStr | None = None
    parsed: Any = None  # what the package has made of it


class StreamOptions(Request):
    include_usage: StrictBool | None = None
    include_obfuscation: StrictBool | None = None  # nothing is added


class ChatCompletionRequest(Request):
    """`metadata` is kept with the message that is answered; `store` lists the thread, and keeps it."""

    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=MAX_MESSAGES), FailFast()]
    model: ModelName | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    store: StrictBool | None = None
    metadata: Pairs | None = None
    temperature: Temperature | None = None
    max_completion_tokens: TokenLimit | None = None
    max_tokens: TokenLimit | None = None
    reasoning_effort: ReasoningEffort | None = None
    response_format: ResponseFormat | None = None
    tools: ToolsIn | None = None
    tool_choice: ToolChoiceIn | None = None
    parallel_tool_calls: StrictBool | None = None

    # What these say makes no difference to an answer
    user: StrictStr | None = None
    safety_identifier: StrictStr | None = None
    prompt_cache_key: StrictStr | None = None

    # Nothing of this can be done: as it is by default, or not at all
    n: Annotated[Any, only(1)] = None
    logprobs: Annotated[Any, only(False)] = None
    top_logprobs: Annotated[Any, only(0)] = None
    top_p: Annotated[Any, only(1)] = None
    frequency_penalty: Annotated[Any, only(0)] = None
    presence_penalty: Annotated[Any, only(0)] = None
    logit_bias: Annotated[Any, only({})] = None
    stop: Annotated[Any, only([])] = None
    seed: Annotated[Any, only()] = None
    modalities: Annotated[Any, only([PLAIN_TEXT])] = None
    audio: Annotated[Any, only()] = None
    prediction: Annotated[Any, only()] = None
    functions: Annotated[Any, only([])] = None
    function_call: Annotated[Any, only("none", "auto")] = None
    web_search_options: Annotated[Any, only()] = None
    moderation: Annotated[Any, only()] = None
    service_tier: Annotated[Any, only("auto", "default")] = None
    verbosity: Annotated[Any, only("medium")] = None
    prompt_cache_options: Annotated[Any, only()] = None
    prompt_cache_retention: Annotated[Any, only("in_memory")] = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def generation(self) -> Generation:
        """Raises `InvalidField`. Nobody could approve of a call over this protocol."""
        limit, older = self.max_completion_tokens, self.max_tokens
        if limit is not None and older is not None and limit != older:
            raise InvalidField("max_tokens", "must not differ from max_completion_tokens, which stands for it")
        form = self.response_format
        if form is not None:
            _require_format(form)
        return Generation(
            temperature=self.temperature,
            max_output_tokens=limit if limit is not None else older,
            reasoning_effort=self.reasoning_effort,
            response_format=None if form is None or form["type"] == PLAIN_TEXT else form,
            tools=clients_tools(self.tools),
            tool_choice=self._choice(),
            # Without tools of the client's it is about ours, where there are any; what is usual need not be said then.
            parallel_tool_calls=self.parallel_tool_calls if self.tools or self.parallel_tool_calls is False else None,
            unattended=True,
        )

    def _choice(self) -> str | Mapping[str, Any] | None:
        """Raises `InvalidField`: what must be called is one of the client's own tools, for it knows no others."""
        choice = self.tool_choice
        if isinstance(choice, NamedToolIn):
            if all(tool.function.name != choice.function.name for tool in self.tools or ()):
                raise InvalidField("tool_choice.function.name", "must be the name of one of the tools")
        elif choice == "required" and not self.tools:
            raise InvalidField("tool_choice", "cannot be required without tools")
        elif choice == "auto" and not self.tools:
            return None
        return choice_of(choice)


def _require_format(form: dict[str, Any]) -> None:
    """Raises `InvalidField`, which names what is not known."""
    require_known(form, _FORMATS[form["type"]], "response_format")
    if form["type"] == "json_schema":
        schema = form.get("json_schema")
        if not isinstance(schema, dict) or not isinstance(schema.get("name"), str):
            raise InvalidField("response_format.json_schema", "must be an object with a name")
        require_known(schema, _SCHEMA, "response_format.json_schema")


class CalledFunctionOut(Described):
    name: str
    arguments: str


class CallOut(Described):
    id: str
    type: Literal["function"]
    function: CalledFunctionOut


class AssistantMessageOut(Described):
    """`tool_calls`, `reasoning_content` and `annotations` where there are any."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: list[CallOut] | None = None
    reasoning_content: str | None = None
    annotations: list[dict[str, Any]] | None = None


class ChoiceOut(Described):
    index: Literal[0]
    message: AssistantMessageOut
    logprobs: None
    finish_reason: str


class CompletionUsageOut(Described):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]


class ChatCompletionOut(Described):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChoiceOut]
    usage: CompletionUsageOut
