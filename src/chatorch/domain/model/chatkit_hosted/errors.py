"""What can go wrong with ChatKit where OpenAI hosts it.

::

    InvalidField
    └── WorkflowNotAllowed
    TooMany
    └── TooManySessions
    Gone
    └── SessionGone               a session that is over
    NotConfigured
    └── ChatKitNotConfigured      names the setting that is missing
    UpstreamAuthFailed
    ├── ChatKitWrongOrganization
    └── ChatKitDomainNotAllowed
    UpstreamRejected
    ├── WorkflowNotFound
    └── HostedNotFound            the provider has no such session or thread
"""

from chatorch.domain.model.errors import Gone, InvalidField, NotConfigured, TooMany
from chatorch.domain.model.upstream_errors import UpstreamAuthFailed, UpstreamRejected


class WorkflowNotAllowed(InvalidField):
    code = "workflow_not_allowed"
    default_detail = "This workflow is not allowed."

    def __init__(self) -> None:
        super().__init__("workflow_id", self.default_detail)
        self.detail = self.default_detail


class TooManySessions(TooMany):
    code = "too_many_sessions"
    default_detail = "Too many ChatKit sessions."


class SessionGone(Gone):
    code = "session_gone"
    default_detail = "This ChatKit session was cancelled, or expired long ago; open another one."


class ChatKitNotConfigured(NotConfigured):
    """`missing` is what the operator calls it."""

    code = "chatkit_not_configured"
    default_detail = "Hosted ChatKit is not set up."

    def __init__(self, missing: str) -> None:
        super().__init__(f"Hosted ChatKit is not set up: {missing} is missing.")


class ChatKitWrongOrganization(UpstreamAuthFailed):
    code = "chatkit_wrong_organization"
    default_detail = "ChatKit's provider says that the key does not belong to the organization or project."


class ChatKitDomainNotAllowed(UpstreamAuthFailed):
    code = "chatkit_domain_not_allowed"
    default_detail = "ChatKit's provider does not allow the domain of the page."


class WorkflowNotFound(UpstreamRejected):
    code = "chatkit_workflow_not_found"
    default_detail = "ChatKit's provider does not know the workflow."


class HostedNotFound(UpstreamRejected):
    code = "hosted_not_found"
    default_detail = "ChatKit's provider has no such thing."
