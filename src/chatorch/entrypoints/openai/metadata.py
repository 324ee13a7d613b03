"""`metadata` as OpenAI has it, in all that takes it: https://platform.openai.com/docs/api-reference/responses/create."""

from typing import Annotated

from pydantic import BeforeValidator

MAX_PAIRS, MAX_NAME_CHARS, MAX_VALUE_CHARS = 16, 64, 512

_PROBLEM = f"must be at most {MAX_PAIRS} names of {MAX_NAME_CHARS} characters with texts of {MAX_VALUE_CHARS}"


def _pairs(given: object) -> object:
    """Before pydantic goes through them, which makes an error of each that is wrong."""
    if isinstance(given, dict) and (len(given) > MAX_PAIRS or not all(map(_fits, given, given.values()))):
        raise ValueError(_PROBLEM)
    return given


def _fits(name: str, value: object) -> bool:
    return len(name) <= MAX_NAME_CHARS and isinstance(value, str) and len(value) <= MAX_VALUE_CHARS


Pairs = Annotated[dict[str, str], BeforeValidator(_pairs)]
