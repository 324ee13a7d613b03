"""What a request for a response names, and is not there: as OpenAI's clients know it."""

from chatorch.domain.model.errors import InvalidField, NotFound

PREVIOUS = "previous_response_id"


class PreviousResponseNotFound(InvalidField):
    code = "previous_response_not_found"

    def __init__(self) -> None:
        super().__init__(PREVIOUS, "is no response that there is, or it is not yours")


class ConversationNotFound(NotFound):
    field = "conversation"

    def __init__(self, problem: str = "is none that there is, or it is not yours") -> None:
        self.problem = problem
        super().__init__(f"{self.field}: {problem}")
