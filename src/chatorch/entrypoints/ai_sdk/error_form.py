"""Errors as text: the client's own error has the body of the answer, as it is, for its message."""

from typing import Annotated

from pydantic import BaseModel, Field, RootModel

from chatorch.entrypoints.common.error_form import ErrorForm
from chatorch.entrypoints.common.failures import Failure


class ErrorText(RootModel[Annotated[str, Field(description="What went wrong, for people")]]):
    """What `useChat` shows as `error.message`; the status is `error.statusCode`, in `ai` 7."""


class TextForm(ErrorForm):
    media_type = "text/plain; charset=utf-8"

    @property
    def model(self) -> type[BaseModel]:
        return ErrorText

    def body(self, failure: Failure) -> bytes:
        return failure.detail.encode()


ERROR_TEXTS = TextForm()
