"""Which messages the model gets to see, and in what form."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatorch.domain.model.context import ContextWindow, PromptMessage, fitting, going_out
from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role, RunId, ThreadId
from chatorch.domain.model.parts import Part, PartKind
from tests.support.sizes import size
from tests.support.strict import objection

AT = datetime(2026, 1, 2, tzinfo=UTC)
RUN = RunId("run_1")
ROLES = {"S": Role.SYSTEM, "U": Role.USER, "A": Role.ASSISTANT}
Told = tuple[str, str]


def thread(*said: str) -> list[Message]:
    """``S:``, ``U:`` or ``A:`` and what was said. ``A+`` was written by a run, ``A-`` by one that broke off.

    ``U!`` was refused.
    """
    messages = []
    for position, (kind, content) in enumerate((one[:2], one[2:]) for one in said):
        messages.append(
            Message(
                id=MessageId(f"msg_{position}"),
                thread_id=ThreadId("thr_1"),
                position=position,
                role=ROLES[kind[0]],
                content=content,
                status=MessageStatus.INCOMPLETE if kind[1] in "!-" else MessageStatus.COMPLETE,
                created_at=AT,
                run_id=RUN if kind[0] == "A" and kind[1] in "+-" else None,
            )
        )
    return messages


def seen(window: ContextWindow, *said: str) -> list[str]:
    """The prompt, in the form of `thread`."""
    return [f"{message.role.name[0]}:{message.content}" for message in window.select(thread(*said))]


ALL = ContextWindow(1000)
PROMPTED = ContextWindow(1000, "Be brief.")
LENIENT = ContextWindow(1000, "Be brief.", takes_neighbours=True)


def test_all_that_fits_is_seen_in_order_with_its_roles():
    assert ALL.select(thread("U:Hi", "A+Hello", "U:Bye")) == (
        PromptMessage(Role.USER, "Hi"),
        PromptMessage(Role.ASSISTANT, "Hello"),
        PromptMessage(Role.USER, "Bye"),
    )


# -- the form --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "prompt"),
    [
        # A run that failed without a word, once or often
        (["U:a", "A-", "U:b"], ["U:a\n\nb"]),
        (["U:a", "A-", "U:b", "A-", "U:c"], ["U:a\n\nb\n\nc"]),
        (["U:a", "A+x", "U:b", "A-", "U:c"], ["U:a", "A:x", "U:b\n\nc"]),
        # What was said before it broke off is said
        (["U:a", "A-half", "U:b"], ["U:a", "A:half", "U:b"]),
        # Several of the user's at once
        (["U:a", "U:b"], ["U:a\n\nb"]),
        # Answers in a row, where a message between them was taken out
        (["U:a", "A+x", "A+y", "U:b"], ["U:a", "A:x\n\ny", "U:b"]),
        # An answer of which nothing can be seen
        (["U:a", "A+ \n", "U:b"], ["U:a\n\nb"]),
        (["U:a", "A-\u200b", "U:b"], ["U:a\n\nb"]),
        # Blank ones of an older version
        (["U: ", "A+x", "U:b"], ["U:b"]),
        (["S: ", "U:\n", "A+x", "U:b"], ["U:b"]),
        # A client's own history
        (["A:x", "U:a"], ["U:a"]),
        (["A:x", "A:y", "U:a", "A:z", "U:b"], ["U:a", "A:z", "U:b"]),
        (["S:r", "A:x", "U:a"], ["S:r", "U:a"]),
        (["S:r", "S:q", "U:a"], ["S:r\n\nq", "U:a"]),
        (["U:a", "S:r", "A:x", "S:q", "U:b"], ["S:r\n\nq", "U:a", "A:x", "U:b"]),
        (["U:a", "S:r", "U:b"], ["S:r", "U:a\n\nb"]),
        # White space at the edges is the user's own
        (["U: a\n", "A-", "U:\tb "], ["U: a\n\n\n\tb "]),
    ],
)
def test_the_strictest_provider_can_take_it(said: list[str], prompt: list[str]):
    assert seen(ALL, *said) == prompt
    own = prompt[0].startswith("S:")
    under_operator = [f"S:Be brief.\n\n{prompt[0][2:]}" if own else "S:Be brief.", *prompt[own:]]
    assert seen(PROMPTED, *said) == under_operator


@pytest.mark.parametrize(
    ("said", "prompt"),
    [
        (["U:a", "A-", "U:b"], ["S:Be brief.", "U:a", "U:b"]),
        (["S:r", "A:x", "U:a", "S:q", "U:b"], ["S:Be brief.\n\nr\n\nq", "U:a", "U:b"]),
        (["U:a", "A+x", "A+ ", "A+y", "U!b", "U:c"], ["S:Be brief.", "U:a", "A:x", "A:y", "U:c"]),
    ],
)
def test_neighbours_stay_apart_where_the_provider_is_known_to_take_them(said: list[str], prompt: list[str]):
    assert seen(LENIENT, *said) == prompt


@pytest.mark.parametrize("nothing", [None, "", " \n", "\u200b"])
def test_an_operators_prompt_of_nothing_is_none(nothing: str | None):
    assert seen(ContextWindow(10, nothing), "U:a") == ["U:a"]


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "prompt"),
    [
        (["U!bad", "A-", "U:b"], ["U:b"]),
        (["U:a", "A+x", "U!bad", "A-", "U:b"], ["U:a", "A:x", "U:b"]),
        (["U:a", "A+x", "U!bad", "A-", "U!worse", "A-", "U:b"], ["U:a", "A:x", "U:b"]),
        (["S:r", "U!bad", "A-", "U:b"], ["S:r", "U:b"]),
        # What had failed before, and was not refused, is kept: the newer one was the reason, as far as is known
        (["U:a", "A-", "U!bad", "A-", "U:b"], ["U:a\n\nb"]),
        (["S:r", "U:a", "A:x", "U!bad", "A-", "U:b"], ["S:r", "U:a", "A:x", "U:b"]),
        # Until it stood in a second one that was refused. Never left out: what was answered, and system messages
        (["U:a", "A-", "U!b", "A-", "U!c", "A-", "U:d"], ["U:d"]),
        (["U:a", "A+x", "U:b", "A-", "U!c", "A-", "U!d", "A-", "U:e"], ["U:a", "A:x", "U:e"]),
        (["S:r", "U:a", "A:x", "S:q", "U!b", "A-", "U!c", "A-", "U:d"], ["S:r\n\nq", "U:d"]),
        (["U:a", "A-", "U!b", "A-", "U:c", "A+x", "U!d", "A-", "U:e"], ["U:a\n\nc", "A:x", "U:e"]),
        (["U:a", "A-", "U!b", "A-half", "U!c", "A-", "U:d"], ["U:a", "A:half", "U:d"]),
        # A blank answer is no answer
        (["U:a", "A-", "U!b", "A+ ", "U!c", "A-", "U:d"], ["U:d"]),
    ],
)
def test_a_message_that_the_provider_refused_is_not_sent_again(said: list[str], prompt: list[str]):
    assert seen(ALL, *said) == prompt


def test_the_one_to_answer_is_sent_whatever_became_of_it():
    assert seen(ALL, "U:a", "A+x", "U!again") == ["U:a", "A:x", "U:again"]


# -- the window ------------------------------------------------------------------------------------------------------


def test_the_oldest_leave_first_and_none_is_cut():
    said = ("U:aaaa", "A+bbbb", "U:cccc", "A+dddd", "U:eeee")
    assert seen(ContextWindow(20), *said) == ["U:aaaa", "A:bbbb", "U:cccc", "A:dddd", "U:eeee"]
    for limit in (19, 16, 12):
        assert seen(ContextWindow(limit), *said) == ["U:cccc", "A:dddd", "U:eeee"]
    for limit in (11, 8, 4, 3, 0):
        assert seen(ContextWindow(limit), *said) == ["U:eeee"], "nor does it begin with an answer"


def test_a_short_message_behind_a_long_one_does_not_jump_the_gap():
    assert seen(ContextWindow(9), "U:a", "A+bbbbbbbbb", "U:c") == ["U:c"]


def test_the_newest_is_seen_however_long():
    assert seen(ContextWindow(1), "U:a", "A+b", "U:" + "c" * 50) == ["U:" + "c" * 50]


def test_characters_are_counted_and_not_bytes():
    assert seen(ContextWindow(5), "U:🔑🔑", "A+ñ", "U:ññ") == ["U:🔑🔑", "A:ñ", "U:ññ"]
    assert seen(ContextWindow(4), "U:🔑🔑", "A+ñ", "U:ññ") == ["U:ññ"]


def test_the_operators_prompt_is_not_counted():
    window = ContextWindow(4, "Be brief.")
    assert seen(window, "U:aaaa", "A+bbbb", "U:cccc") == ["S:Be brief.", "U:cccc"]


def test_the_system_messages_of_the_beginning_stay_in_a_window_that_is_too_small_for_all():
    said = ("S:rule", "U:aaaa", "A+bbbb", "U:cccc", "A+dddd", "U:eeee")
    assert seen(ContextWindow(16), *said) == ["S:rule", "U:cccc", "A:dddd", "U:eeee"]
    assert seen(ContextWindow(15), *said) == ["S:rule", "U:eeee"]
    assert seen(ContextWindow(8), *said) == ["S:rule", "U:eeee"]
    assert seen(ContextWindow(7), *said) == ["U:eeee"], "unless it does not fit even beside the newest"
    assert seen(ContextWindow(7), "S:ru", "S:le", "U:aa", "A+bb", "U:cccc") == ["S:ru", "U:cccc"]


def test_one_in_the_middle_leaves_in_its_turn():
    said = ("U:aaaa", "S:rule", "A+bbbb", "U:cccc")
    assert seen(ContextWindow(16), *said) == ["S:rule", "U:aaaa", "A:bbbb", "U:cccc"]
    assert seen(ContextWindow(11), *said) == ["U:cccc"]


def test_what_is_not_sent_takes_no_room():
    assert seen(ContextWindow(6), "U:aa", "A+bb", "U!" + "x" * 40_000, "A-", "U:cc") == ["U:aa", "A:bb", "U:cc"]
    assert seen(ContextWindow(6), "U:aa", "A+bb", "U:" + " " * 40_000, "A-", "U:cc") == ["U:aa", "A:bb", "U:cc"]


# -- whatever happened -----------------------------------------------------------------------------------------------

CONTENTS = st.one_of(
    st.text("ab \n.é🔑", min_size=1, max_size=9),
    st.sampled_from(["", " ", "\n\t", "\u200b", "\u3164", "\ufeff \u00ad"]),
)
MESSAGES = st.builds(
    lambda kind, content: (kind, content),
    st.sampled_from(["S:", "U:", "U!", "A:", "A+", "A-", "U:", "A+", "U!"]),
    CONTENTS,
)
LAST = st.text("ab \n.é🔑", min_size=1, max_size=9).filter(lambda text: text.strip())


@pytest.mark.soak
@settings(max_examples=size(100, 5_000), deadline=None)
@given(
    st.lists(MESSAGES, max_size=14),
    LAST,
    st.integers(0, 80),
    st.sampled_from([None, "", " ", "Be brief."]),
    st.booleans(),
    st.booleans(),
)
def test_whatever_a_thread_holds_what_goes_out_is_acceptable(
    before: list[Told], last: str, limit: int, prompt: str | None, takes_neighbours: bool, refused_before: bool
):
    messages = thread(*("".join(one) for one in before), f"U{'!' if refused_before else ':'}{last}")
    window = ContextWindow(limit, prompt, takes_neighbours)
    out = window.select(messages)
    assert objection([{"role": m.role, "content": m.content} for m in out], neighbours=takes_neighbours) is None
    assert out[-1].content == last or (not takes_neighbours and out[-1].content.endswith(f"\n\n{last}"))
    if prompt == "Be brief.":
        assert out[0].role is Role.SYSTEM
        assert out[0].content.split("\n\n")[0] == prompt


@pytest.mark.soak
@settings(max_examples=size(100, 5_000), deadline=None)
@given(st.lists(MESSAGES, max_size=14), LAST, st.integers(0, 200))
def test_what_fits_is_there_and_what_was_refused_is_not(before: list[Told], last: str, limit: int):
    """Each message is told apart by a mark of its own, so that all of it can be found."""
    messages = thread(*("".join(one) for one in before), f"U:{last}")
    marked = [replace(m, content=f"{m.content}<{m.position}>" if m.content.strip() else "") for m in messages]
    out = "\n".join(message.content for message in ContextWindow(limit).select(marked))
    there = [m for m in marked if f"<{m.position}>" in out and m.content]
    assert all(message.content in out for message in there), "none is cut"
    assert not any(m.status is MessageStatus.INCOMPLETE and m.role is Role.USER for m in there)
    assert marked[-1] in there
    assert sum(len(m.content) for m in there) <= max(limit, len(marked[-1].content))
    for question, answer in answered_turns(marked):
        behind = [m for m in marked if m.position >= question.position or m.role is Role.SYSTEM]
        if sum(len(m.content) for m in behind) <= limit:
            assert {question.position, answer.position} <= {m.position for m in there}


@pytest.mark.soak
@settings(max_examples=size(100, 5_000), deadline=None)
@given(st.lists(CONTENTS, max_size=3), st.lists(MESSAGES, max_size=14), LAST, st.integers(0, 80))
def test_a_store_may_leave_out_what_would_not_go_out(rules: list[str], before: list[Told], last: str, limit: int):
    said = [kind + content for kind, content in before if kind != "S:"]
    messages = thread(*(f"S:{rule}" for rule in rules), *said, f"U:{last}")
    kept, left_out = fitting(going_out(reversed(messages)), limit)
    if left_out is not None:
        opening = takewhile(lambda message: message.role is Role.SYSTEM, messages)
        kept = [*(message for message in opening if message not in kept), *kept]
    window = ContextWindow(limit, "Be brief.")
    assert window.select(kept) == window.select(messages)


def answered_turns(messages: list[Message]) -> list[tuple[Message, Message]]:
    """What a model answered, each with the answer."""
    said = [m for m in messages if (m.content or m.role is Role.USER) and m.role is not Role.SYSTEM]
    return [
        (question, answer)
        for question, answer in pairwise(said)
        if (question.role, question.status) == (Role.USER, MessageStatus.COMPLETE)
        and question.content
        and answer.run_id
    ]


SIGNED = Part(PartKind.REASONING, {}, "Hm", {"details": [{"signature": "s"}]}, closed=True)
OPEN = Part(PartKind.REASONING, {}, "Or")
CALL = Part(PartKind.TOOL_CALL, {"id": "c1", "name": "weather"}, "{}", closed=True)
RESULT = Part(PartKind.TOOL_RESULT, {"call_id": "c1", "status": "completed"}, "sun", closed=True)


def answered(*parts: Part, kind: str = "A+") -> list[Message]:
    """A thread whose first answer is ``Hi`` and these parts."""
    asked, answer, again = thread("U:Hello", f"{kind}Hi", "U:Bye")
    return [asked, replace(answer, parts=(Part(PartKind.TEXT, body="Hi"), *parts)), again]


def reasoning_in(messages: list[Message], *, limit: int = 1000, neighbours: bool = False) -> list[tuple[Part, ...]]:
    window = ContextWindow(limit, takes_neighbours=neighbours, sends_reasoning=True)
    return [message.reasoning for message in window.select(messages)]


@pytest.mark.parametrize("neighbours", [True, False])
def test_reasoning_goes_out_only_where_that_is_wanted_and_only_what_came_whole(neighbours: bool):
    parts = (SIGNED, CALL, RESULT, OPEN)
    assert reasoning_in(answered(*parts), neighbours=neighbours) == [(), (SIGNED,), ()]
    assert [message.reasoning for message in ALL.select(answered(*parts))] == [(), (), ()]


def test_no_tool_call_goes_out_nor_a_message_that_is_nothing_else():
    for window in (ALL, ContextWindow(1000, sends_reasoning=True)):
        told = window.select(answered(CALL))
        assert [(message.role, message.content, message.reasoning) for message in told] == [
            (Role.USER, "Hello", ()),
            (Role.ASSISTANT, "Hi", ()),
            (Role.USER, "Bye", ()),
        ]
    asked, answer, again = answered(CALL, SIGNED)
    silent = replace(answer, content="", parts=(Part(PartKind.TEXT), CALL, SIGNED))
    assert [message.role for message in ALL.select([asked, silent, again])] == [Role.USER]


def test_what_a_client_says_that_a_model_thought_does_not_go_out():
    assert reasoning_in(answered(SIGNED, kind="A:")) == [(), (), ()]


def test_reasoning_counts_against_the_limit_where_it_goes_out():
    messages = answered(Part(PartKind.REASONING, {}, "x" * 50, closed=True))
    assert [m.content for m in ContextWindow(10).select(messages)] == ["Hello", "Hi", "Bye"]
    assert reasoning_in(messages, limit=59) == [()]
    assert len(reasoning_in(messages, limit=60)) == 3
    details = answered(Part(PartKind.REASONING, {}, "", {"details": [{"data": "x" * 50}]}, closed=True))
    assert len(reasoning_in(details, limit=60)) == 1


def test_the_reasoning_of_joined_answers_stays_in_order():
    asked, answer, again = answered(SIGNED)
    other = replace(SIGNED, body="So")
    second = replace(answer, id=MessageId("msg_9"), parts=(Part(PartKind.TEXT, body="Hi"), other))
    assert reasoning_in([asked, answer, second, again]) == [(), (SIGNED, other), ()]


def test_instructions_stand_behind_all_other_rules_and_take_room_from_what_is_older():
    window = ContextWindow(20, "Be brief.")
    messages = thread("S:Rule", "U:Hi", "A+Hello", "U:Bye")
    told = window.select(messages, "In verse.")
    assert [message.content for message in told] == ["Be brief.\n\nRule\n\nIn verse.", "Bye"]
    assert window.select(messages, " ")[0].content == "Be brief.\n\nRule"
    assert window.select(messages, "x" * 50)[-1].content == "Bye"
