"""Which model of which provider a name means, and which names are allowed."""

import pytest

from chatorch.domain.model.model_names import ModelAt, ModelNames
from chatorch.domain.model.policy import ChatPolicy

NAMES = ModelNames(("main", "local", "ft"))


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("gpt-4o", "main", "gpt-4o"),
        ("main:gpt-4o", "main", "gpt-4o"),
        ("llama3:8b", "main", "llama3:8b"),
        ("local:llama3:8b", "local", "llama3:8b"),
        ("local:meta-llama/Llama-3-8B:free", "local", "meta-llama/Llama-3-8B:free"),
        ("local:http://127.0.0.1/v1", "local", "http://127.0.0.1/v1"),
        ("http://127.0.0.1/v1", "main", "http://127.0.0.1/v1"),
        ("main:ft:gpt-4o:org::id", "main", "ft:gpt-4o:org::id"),
        ("ft:gpt-4o:org::id", "ft", "gpt-4o:org::id"),
        ("main:local:a", "main", "local:a"),
        ("Local:a", "main", "Local:a"),
        (" local:a", "main", " local:a"),
        (":a", "main", ":a"),
        ("local", "main", "local"),
        ("local:", "local", ""),
    ],
)
def test_a_prefix_that_is_no_providers_name_is_part_of_the_model(name: str, provider: str, model: str) -> None:
    assert NAMES.find(name) == ModelAt(provider, model)


@pytest.mark.parametrize("name", ["a", "openai:a", ":a", "", "local:a"])
def test_one_provider_without_a_name_gets_names_as_they_are(name: str) -> None:
    assert ModelNames().find(name) == ModelAt("", name)


def policy(*allowed: str, closed: str = "") -> ChatPolicy:
    return ChatPolicy(
        "a", frozenset(allowed), model_names=ModelNames(("main", "local")), closed_providers=frozenset({closed})
    )


@pytest.mark.parametrize(
    ("allowed", "name", "is_allowed"),
    [
        ((), "a", True),
        ((), "main:a", True),
        ((), "local:a", False),
        (("local:b",), "local:b", True),
        (("local:b",), "b", False),
        (("main:b",), "b", True),
        (("b",), "main:b", True),
        (("main:local:b",), "local:b", False),
        (("local:*",), "local:whatever:it/is", True),
        (("local:*",), "whatever", False),
        (("local:*",), "local:", False),
        (("main:*",), "whatever", True),
        (("main:*",), "local:b", False),
        (("*",), "local:b", True),
        (("*",), "main:", False),
        (("*",), "nobody:b", True),
        (("main:b",), "nobody:b", False),
    ],
)
def test_the_allow_list_goes_by_provider_and_model(allowed: tuple[str, ...], name: str, is_allowed: bool) -> None:
    assert policy(*allowed).allows(name) is is_allowed


def test_any_model_is_none_of_a_provider_that_names_its_own() -> None:
    listed = policy("*", "local:b", closed="local")
    assert listed.allows("whatever")
    assert listed.allows("local:b")
    assert not listed.allows("local:c")


def test_the_name_stays_as_it_was_asked() -> None:
    assert policy("local:b").model_for("local:b") == "local:b"
    assert policy("local:b").model_for("main:a") == "main:a"
    assert policy().model_for(None) == "a"
