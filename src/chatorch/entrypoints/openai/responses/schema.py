"""What a client asks for: https://platform.openai.com/docs/api-reference/responses/create."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictStr

from chatorch.domain.model.conversation import ThreadId
from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.generation import Generation
from chatorch.entrypoints.common.fields import MAX_ID_CHARS, ModelName, ReasoningEffort, Temperature, TokenLimit
from chatorch.entrypoints.openai.defaults import only
from chatorch.entrypoints.openai.metadata import Pairs
from chatorch.entrypoints.openai.responses.ids import thread_id_of
from chatorch.entrypoints.openai.responses.tools import choice_of, tools_of
from chatorch.entrypoints.openai.strict import Request, require_known

_FORMATS = {
    "text": {"type"},
    "json_object": {"type"},
    "json_schema": {"type", "name", "schema", "strict", "description"},
}


def _format(given: dict[str, Any]) -> dict[str, Any]:
    kind = given.get("type")
    if not isinstance(kind, str) or kind not in _FORMATS:
        raise ValueError("must have a type: text, json_object or json_schema")
    if kind == "json_schema" and not (isinstance(given.get("name"), str) and isinstance(given.get("schema"), dict)):
        raise ValueError("must have a name and a schema")
    return given


def _named(given: object) -> object:
    """As text, or as an object that has nothing but an id."""
    return given["id"] if isinstance(given, dict) and given.keys() == {"id"} else given


OpenAIId = Annotated[str, Field(min_length=1, max_length=2 * MAX_ID_CHARS)]


class ReasoningIn(Request):
    """Of what the model thinks there is the text itself, and no summary."""

    effort: ReasoningEffort | None = None
    summary: Annotated[Any, only("auto")] = None
    generate_summary: Annotated[Any, only("auto")] = None
    context: Annotated[Any, only("auto")] = None
    mode: Annotated[Any, only("standard")] = None


class TextConfigIn(Request):
    format: Annotated[dict[str, Any], AfterValidator(_format)] | None = None
    verbosity: Annotated[Any, only("medium")] = None


class ResponseStreamOptions(Request):
    include_obfuscation: Annotated[Any, only(False)] = None


class CreateResponse(Request):
    """`metadata` is kept with the message that is answered. The oldest messages are left out where there is too much
    (`truncation`); a conversation that is not stored cannot be gone on with."""

    input: Annotated[Any, Field(description="Text, or items; the last message is the user's, or what came of calls")]
    model: ModelName | None = None
    instructions: Annotated[StrictStr, Field(max_length=1_000_000)] | None = None
    previous_response_id: OpenAIId | None = None
    conversation: Annotated[OpenAIId | None, BeforeValidator(_named)] = None
    stream: StrictBool | None = None
    stream_options: ResponseStreamOptions | None = None
    background: StrictBool | None = None
    store: StrictBool | None = None
    metadata: Pairs | None = None
    temperature: Temperature | None = None
    max_output_tokens: TokenLimit | None = None
    reasoning: ReasoningIn | None = None
    text: TextConfigIn | None = None
    tools: Annotated[list[Any] | None, Field(description="Tools of type function")] = None
    tool_choice: StrictStr | dict[str, Any] | None = None
    parallel_tool_calls: StrictBool | None = None

    # What these say makes no difference to an answer
    user: StrictStr | None = None
    safety_identifier: StrictStr | None = None
    prompt_cache_key: StrictStr | None = None

    # Nothing of this can be done: as it is by default, or not at all
    include: Annotated[Any, only([])] = None
    truncation: Annotated[Any, only("auto")] = None
    max_tool_calls: Annotated[Any, only()] = None
    top_p: Annotated[Any, only(1)] = None
    top_logprobs: Annotated[Any, only(0)] = None
    prompt: Annotated[Any, only()] = None
    context_management: Annotated[Any, only([])] = None
    moderation: Annotated[Any, only()] = None
    access_programs: Annotated[Any, only()] = None
    background_options: Annotated[Any, only()] = None
    image: Annotated[Any, only()] = None
    service_tier: Annotated[Any, only("auto", "default")] = None
    prompt_cache_options: Annotated[Any, only()] = None
    prompt_cache_retention: Annotated[Any, only("in_memory")] = None

    def generation(self, *, guest: bool = False) -> Generation:
        """Where nothing is kept, or nobody can come back, there is no later request to approve of a call by. Raises
        `InvalidField`."""
        form = self.text.format if self.text is not None else None
        if form is not None:
            require_known(form, _FORMATS[form["type"]], "text.format")
        choice = choice_of(self.tool_choice)
        if choice not in (None, "auto", "none") and not self.tools:
            raise InvalidField("tool_choice", "cannot be required without tools")
        return Generation(
            temperature=self.temperature,
            max_output_tokens=self.max_output_tokens,
            reasoning_effort=self.reasoning.effort if self.reasoning is not None else None,
            response_format=_as_completions_have_it(form) if form is not None else None,
            instructions=self.instructions or None,
            tools=tools_of(self.tools),
            tool_choice=choice,
            parallel_tool_calls=False if self.parallel_tool_calls is False else None,
            unattended=True if guest or self.store is False else None,
        )

    @property
    def continues(self) -> bool:
        return self.previous_response_id is not None or self.conversation is not None

    def thread_id(self) -> ThreadId | None:
        """Of the conversation that is named. Raises `NotFound` for what cannot be one's name."""
        return None if self.conversation is None else thread_id_of(self.conversation)

    def require_sense(self, *, guest: bool) -> None:
        """Raises `InvalidField` for what does not go together."""
        if self.previous_response_id is not None and self.conversation is not None:
            raise InvalidField("previous_response_id", "must not be given beside conversation")
        if self.store is False and self.background:
            raise InvalidField("background", "needs a response that is stored: leave store out")
        if self.store is False and self.continues:
            raise InvalidField("store", "must not be false where a stored conversation goes on")
        if guest and self.background:
            raise InvalidField("background", "is not for guests, who cannot come back: sign in")
        if self.stream_options is not None and not self.stream:
            raise InvalidField("stream_options", "is only for stream")


def _as_completions_have_it(form: dict[str, Any]) -> dict[str, Any] | None:
    match form["type"]:
        case "text":
            return None
        case "json_schema":
            return {"type": "json_schema", "json_schema": {name: v for name, v in form.items() if name != "type"}}
    return form
