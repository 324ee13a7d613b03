"""The form that a door gives to its errors, and the answer that takes it on its way out."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatorch.entrypoints.common.failures import Failure

REFUSAL_KEY = "chatorch.refusal"
"""In the scope of a request that was refused: what its line in the log says of it."""
FORM_KEY = "chatorch.form_of"
"""In the scope: which form the door has that is asked (`Doors.form_of`)."""


class ErrorForm(Protocol):
    """How a door tells what went wrong. Status and headers are those of the `Failure`, but where its clients know
    others."""

    media_type: str

    def status(self, failure: Failure) -> int:
        return failure.status

    def headers(self, failure: Failure) -> Mapping[str, str]:
        """All of them but what is said of the body."""
        return failure.headers

    @property
    @abstractmethod
    def model(self) -> type[BaseModel]:
        """What a body looks like, for the OpenAPI document."""
        ...

    @abstractmethod
    def body(self, failure: Failure) -> bytes: ...


class Refusal(Response):
    """Whoever makes it need not know the door: a request is answered in the form of the door that it asks.

    It is made in `form`, which is what goes out where no door is known.
    """

    def __init__(self, failure: Failure, form: ErrorForm) -> None:
        super().__init__(form.body(failure), form.status(failure), form.headers(failure), form.media_type)
        self.failure = failure
        self._form = form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[REFUSAL_KEY] = self.failure.told
        if (form_of := scope.get(FORM_KEY)) is not None:
            self._take(form_of(scope))
        await super().__call__(scope, receive, send)

    def _take(self, form: ErrorForm) -> None:
        if form is not self._form:
            self._form = form
            self.status_code = form.status(self.failure)
            self.headers.update(form.headers(self.failure))
            self.body = form.body(self.failure)
            self.headers["content-length"] = str(len(self.body))
            self.headers["content-type"] = form.media_type
