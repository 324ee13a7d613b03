"""Who may do what, and what may be put into a thread."""

import pytest

from chatorch.domain.model.conversation import NewMessage, Role, ThreadId
from chatorch.domain.model.errors import (
    GuestThread,
    InsufficientScope,
    InvalidField,
    ModelNotAllowed,
    RoleNotAllowed,
    UserMismatch,
)
from chatorch.domain.model.identity import Principal, Scope, UserId
from chatorch.domain.model.policy import ChatPolicy, require_no_guest_thread, require_own_label, require_scope

POLICY = ChatPolicy("a-model", frozenset({"b-model"}), max_content_chars=10, max_messages=3)
ADA = Principal(UserId("usr_ada"), "ada", frozenset({Scope.CHAT}))
GUEST = Principal(UserId("gst_1"), "guest", frozenset({Scope.CHAT}), guest=True)


def said(*turns: tuple[Role, str]) -> list[NewMessage]:
    return [NewMessage(role, content) for role, content in turns]


QUESTION = (Role.USER, "Hello")


@pytest.mark.parametrize(("requested", "used"), [(None, "a-model"), ("a-model", "a-model"), ("b-model", "b-model")])
def test_the_default_model_and_those_allowed_may_be_used(requested: str | None, used: str):
    assert POLICY.model_for(requested) == used


@pytest.mark.parametrize("requested", ["c-model", "", "*", "A-MODEL"])
def test_other_models_may_not_and_are_not_repeated(requested: str):
    with pytest.raises(ModelNotAllowed) as refusal:
        POLICY.model_for(requested)
    assert refusal.value.detail == "This model is not allowed."


def test_a_star_allows_any_model():
    assert ChatPolicy("a-model", frozenset({"*"})).model_for("whatever") == "whatever"


@pytest.mark.parametrize("content", ["x", "x" * 10, "🔑" * 10])
@pytest.mark.parametrize("opens_thread", [True, False])
def test_a_message_may_be_1_to_the_limit_of_characters(content: str, opens_thread: bool):
    POLICY.check_messages(said((Role.USER, content)), opens_thread=opens_thread)


@pytest.mark.parametrize("content", ["", "x" * 11])
def test_a_message_of_another_length_is_named_and_not_repeated(content: str):
    with pytest.raises(InvalidField) as refusal:
        POLICY.check_messages(said(QUESTION, (Role.USER, content)), opens_thread=True)
    assert refusal.value.field == "messages.1.content"
    assert "xxx" not in refusal.value.detail


@pytest.mark.parametrize("role", [Role.USER, Role.ASSISTANT, Role.SYSTEM])
@pytest.mark.parametrize("content", [" ", "\n\t\r\n", "\u200b\u2060", "\u3164"])
def test_a_blank_message_is_named(content: str, role: Role):
    with pytest.raises(InvalidField) as refusal:
        POLICY.check_messages(said(QUESTION, (role, content), QUESTION), opens_thread=True)
    assert (refusal.value.field, refusal.value.problem) == ("messages.1.content", "must not be blank")


@pytest.mark.parametrize("count", [0, 4])
def test_too_few_or_too_many_messages_are_refused(count: int):
    with pytest.raises(InvalidField, match="1 to 3"):
        POLICY.check_messages(said(*[QUESTION] * count), opens_thread=True)


@pytest.mark.parametrize("role", [Role.ASSISTANT, Role.SYSTEM])
def test_the_last_message_must_be_the_users(role: Role):
    with pytest.raises(InvalidField, match="last message"):
        POLICY.check_messages(said(QUESTION, (role, "x")), opens_thread=True)


def test_all_roles_may_open_a_thread():
    POLICY.check_messages(said((Role.SYSTEM, "x"), (Role.ASSISTANT, "y"), QUESTION), opens_thread=True)


@pytest.mark.parametrize("role", [Role.ASSISTANT, Role.SYSTEM])
def test_only_the_user_may_speak_later(role: Role):
    with pytest.raises(RoleNotAllowed, match=rf"messages\.0\.role: {role}"):
        POLICY.check_messages(said((role, "x"), QUESTION), opens_thread=False)


def test_the_operator_may_keep_the_system_role_to_himself():
    policy = ChatPolicy("a-model", client_system=False)
    with pytest.raises(RoleNotAllowed):
        policy.check_messages(said((Role.SYSTEM, "x"), QUESTION), opens_thread=True)
    policy.check_messages(said((Role.ASSISTANT, "x"), QUESTION), opens_thread=True)


def test_a_scope_is_required():
    require_scope(ADA, Scope.CHAT)
    with pytest.raises(InsufficientScope):
        require_scope(ADA, Scope.ADMIN)


def test_a_user_may_name_nobody_but_himself():
    require_own_label(ADA, None)
    require_own_label(ADA, "usr_ada")
    for other in ("usr_eve", "ada", ""):
        with pytest.raises(UserMismatch):
            require_own_label(ADA, other)


def test_a_guest_may_call_himself_anything():
    require_own_label(GUEST, "usr_ada")


def test_a_guest_cannot_go_on_with_a_thread():
    require_no_guest_thread(GUEST, None)
    require_no_guest_thread(ADA, ThreadId("thr_1"))
    with pytest.raises(GuestThread):
        require_no_guest_thread(GUEST, ThreadId("thr_1"))
