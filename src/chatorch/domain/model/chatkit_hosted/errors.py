"""How the provider of hosted ChatKit may fail, beside what any provider does.

::

    UpstreamAuthFailed
    ├── ChatKitWrongOrganization
    └── ChatKitDomainNotAllowed
    UpstreamRejected
    ├── WorkflowNotFound
    └── HostedNotFound          the provider has no such session or thread
"""

from chatorch.domain.model.upstream_errors import UpstreamAuthFailed, UpstreamRejected


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
