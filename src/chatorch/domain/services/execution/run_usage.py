"""What one run has used, at any moment of it."""

from chatorch.domain.model.content import START, Content
from chatorch.domain.model.conversation import Usage, estimate_tokens
from chatorch.domain.model.estimates import estimated_usage, tokens_of
from chatorch.domain.model.tools import Tally
from chatorch.ports.chat_model import Prompt


class RunUsage:
    """Steps that are over, by what the provider said; the one that is not, by an estimate; and what earlier attempts of
    the run have `spent`, whose workers died.

    `tally` is the last that the model gave; None until a step is over.
    """

    __slots__ = ("_parts_counted", "_prompt_tokens", "_spent", "_tip_counted", "tally")

    def __init__(self, prompt: Prompt, spent: Usage | None) -> None:
        carried = prompt.turn.said if prompt.turn and prompt.turn.begun else None
        self._tip_counted, self._parts_counted = (carried.tip, len(carried.parts)) if carried else (START, 0)
        self._prompt_tokens = tokens_of(prompt.messages)
        self._spent = spent
        self.tally: Tally | None = None

    def step_over(self, content: Content, tally: Tally) -> None:
        """`content` is all that was said so far: `tally` has what it used."""
        self.tally = tally
        self._tip_counted, self._parts_counted = content.tip, len(content.parts)

    def kept(self) -> Usage | None:
        """Of all steps that are over, whoever goes on with the run."""
        return self._spent if self.tally is None or self.tally.usage is None else self._with_spent(self.tally.usage)

    def whole(self, told: Usage | None, content: Content) -> Usage:
        """Of a run that the model has ended with `content`. `told` is what the provider said, if it did."""
        return self._with_spent(told or estimated_usage(self._prompt_tokens, content))

    def so_far(self, content: Content, *, begun: bool) -> Usage | None:
        """Of one that ends before its model does; None where it used nothing. `begun` is whether this attempt spoke."""
        finished = self.tally.usage if self.tally else None
        if begun and content.weight and content.tip > self._tip_counted:
            before, since = content.parts[: self._parts_counted], content.parts[self._parts_counted :]
            told = self._prompt_tokens + sum(estimate_tokens(part.body) for part in before)
            unfinished = estimated_usage(told, Content(since))
            finished = unfinished if finished is None else finished + unfinished
        return self._spent if finished is None else self._with_spent(finished)

    def _with_spent(self, usage: Usage) -> Usage:
        return usage if self._spent is None else self._spent + usage
