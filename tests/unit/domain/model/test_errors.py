"""The tree of errors, as clients get to know it."""

import pytest

from chatorch.domain.model import errors, upstream_errors
from chatorch.domain.model.chatkit_hosted import errors as hosted_errors
from chatorch.domain.model.errors import ChatorchError, InvalidField, RunUnsettled, StoreUnavailable, ThreadBusy
from chatorch.domain.model.upstream_errors import (
    UpstreamError,
    UpstreamModelUnknown,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamUnusable,
)


def all_errors() -> list[type[ChatorchError]]:
    found = (vars(errors) | vars(upstream_errors) | vars(hosted_errors)).values()
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, ChatorchError)]


def test_no_two_kinds_have_the_same_code_unless_one_refines_the_other():
    codes = [vars(kind)["code"] for kind in all_errors() if "code" in vars(kind)]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_code_is_snake_case_and_every_detail_a_sentence(kind: type[ChatorchError]):
    assert kind.code.replace("_", "").isalpha()
    assert kind.code.islower()
    assert kind.default_detail.endswith(".") or kind is ChatorchError  # the contract's own words


def test_an_error_carries_what_a_client_needs_to_go_on():
    assert ThreadBusy("run_1").run_id == "run_1"
    assert RunUnsettled("run_1").run_id == "run_1"
    assert StoreUnavailable(retry_after=3).retry_after == 3
    assert UpstreamRateLimited(retry_after=7).retry_after == 7
    assert InvalidField("messages.0.content", "is too long").detail == "messages.0.content: is too long"


def test_a_message_is_to_blame_only_where_the_provider_refuses_what_was_said():
    upstream = {kind: kind.refuses_message for kind in all_errors() if issubclass(kind, UpstreamError)}
    assert upstream[UpstreamRejected]
    assert not upstream[UpstreamUnusable]
    assert not upstream[UpstreamModelUnknown]
    assert not any(refused for kind, refused in upstream.items() if not issubclass(kind, UpstreamRejected))
    assert UpstreamModelUnknown.code == UpstreamRejected.code == "upstream_rejected"
