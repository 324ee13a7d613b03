"""What a log has of a run, as text."""

from chatorch.domain.model.conversation import RunId
from chatorch.ports.run_log import RunLog


def text_in(log: RunLog, run_id: RunId) -> str | None:
    """All text so far; None where the log is not open here, or has ended."""
    content = log.content(run_id)
    return None if content is None else content.text
