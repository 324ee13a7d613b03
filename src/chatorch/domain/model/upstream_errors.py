"""How the model's provider may fail.

::

    UpstreamError             the model did not answer properly
    ├── UpstreamAuthFailed
    ├── UpstreamRejected        this request is refused, and would be again
    │   └── UpstreamUnusable        and so would be any other of ours
    │       └── UpstreamModelUnknown
    ├── UpstreamMoved           its address answers with a redirect that is not followed
    ├── UpstreamInvalid
    ├── UpstreamRateLimited
    ├── UpstreamUnavailable
    └── UpstreamTimeout
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from chatorch.domain.model.errors import ChatorchError


@dataclass(frozen=True, slots=True)
class SettingNames:
    """What an operator calls the settings of one provider; by default, plain words that fit into a sentence.

    In an error's texts ``{address}``, ``{key}`` and ``{model}`` stand for them.
    """

    address: str = "its address"
    key: str = "its key"
    model: str = "the model's name"

    def put_into(self, text: str) -> str:
        return text.replace("{address}", self.address).replace("{key}", self.key).replace("{model}", self.model)


PLAIN = SettingNames()


class UpstreamError(ChatorchError):
    """The model's provider failed. `retryable` says whether the same request may succeed later.

    `refuses_message`: whether it is what was said that is refused, so that a later turn that says it again would be
    refused as well. For an operator's log: `status` is the provider's, where it answered; `cause` says in words of ours
    why it was not reached, or which deadline passed. Both texts name settings as `named` was told.
    """

    code = "upstream_error"
    default_detail = "The model's provider answered with an error."
    retryable: ClassVar[bool] = True
    refuses_message: ClassVar[bool] = False

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        cause: str | None = None,
    ) -> None:
        self.retry_after = retry_after
        self.status = status
        self._names = PLAIN
        self._cause = cause
        super().__init__(detail)
        self.args = (self.detail,)

    def named(self, names: SettingNames) -> Self:
        """Itself, from now on in these words: whoever knows whose settings are meant says so before it is raised."""
        self._names = names
        self.args = (self.detail,)
        return self

    @property
    def detail(self) -> str:
        return self._names.put_into(self._detail)

    @detail.setter
    def detail(self, text: str) -> None:
        self._detail = text

    @property
    def cause(self) -> str | None:
        return None if self._cause is None else self._names.put_into(self._cause)

    @cause.setter
    def cause(self, text: str | None) -> None:
        self._cause = text


class UpstreamAuthFailed(UpstreamError):
    code = "upstream_auth"
    default_detail = "The model's provider refused the credentials; see {key}."
    retryable = False


class UpstreamRejected(UpstreamError):
    """The provider refuses this very request: a filter, or too long, say."""

    code = "upstream_rejected"
    default_detail = "The model's provider refused the request."
    retryable = False
    refuses_message = True


class UpstreamUnusable(UpstreamRejected):
    """It refuses whatever is asked (no credit, a wrong path), so nothing is wrong with the message."""

    default_detail = "The model's provider takes no request of ours; see {address}, and the account."
    refuses_message = False


class UpstreamModelUnknown(UpstreamUnusable):
    default_detail = "The model's provider does not know the model; see {model} and {address}."


class UpstreamMoved(UpstreamError):
    """A redirect that is not followed; the new address is never repeated. Its code is `upstream_error`."""

    default_detail = "The model's provider has moved; see {address}."
    retryable = False


class UpstreamInvalid(UpstreamError):
    code = "upstream_invalid"
    default_detail = "The model's provider answered with something that is not a complete answer."


class UpstreamRateLimited(UpstreamError):
    code = "upstream_rate_limited"
    default_detail = "The model's provider limits the rate of requests."


class UpstreamUnavailable(UpstreamError):
    code = "upstream_unavailable"
    default_detail = "The model's provider cannot be reached."


class UpstreamTimeout(UpstreamError):
    code = "upstream_timeout"
    default_detail = "The model's provider did not answer in time."
