"""Providers by name, in the environment."""

import os

import pytest

from chatorch.entrypoints.load_settings import SettingsError, load_settings, unknown_settings

SECRET = "s" * 32
CANARY = "canary4711"
LOCAL = "CHATORCH_PROVIDER_LOCAL_"


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Sets variables, and reads the settings."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "CHATORCH_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SECRET_KEY", SECRET)

    def read(**variables: str):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return read


def wrong(given, **variables: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        given(**variables)
    assert CANARY not in str(raised.value)
    return raised.value.lines


def test_a_provider_has_settings_of_its_own(given):
    settings = given(
        CHATORCH_PROVIDERS=" main, my-gpu ,,",
        OPENAI_API_KEY="sk-main",
        CHATORCH_PROVIDER_MY_GPU_BASE_URL="http://127.0.0.1:11434/v1",
        CHATORCH_PROVIDER_MY_GPU_API_KEY="sk-gpu\n",
        CHATORCH_PROVIDER_MY_GPU_MODELS="llama3:8b, meta-llama/Llama-3 ",
    )
    main, gpu = settings.chat_providers
    assert (main.name, main.base_url, main.key, main.settings.key) == ("main", None, "sk-main", "OPENAI_API_KEY")
    assert (gpu.name, gpu.base_url, gpu.key) == ("my-gpu", "http://127.0.0.1:11434/v1", "sk-gpu")
    assert gpu.models == {"llama3:8b", "meta-llama/Llama-3"}
    assert gpu.settings.address == "CHATORCH_PROVIDER_MY_GPU_BASE_URL"
    assert not settings.offline
    assert unknown_settings() == []


def test_nothing_of_openais_goes_to_a_provider_with_settings_of_its_own(given):
    settings = given(
        CHATORCH_PROVIDERS="local,other",
        OPENAI_API_KEY=f"sk-{CANARY}",
        OPENAI_BASE_URL="http://127.0.0.1:1/v1",
        CHATORCH_PROVIDER_LOCAL_BASE_URL="http://127.0.0.1:2/v1",
        CHATORCH_PROVIDER_OTHER_API_KEY="sk-other",
    )
    local, other = settings.chat_providers
    assert (local.base_url, local.key) == ("http://127.0.0.1:2/v1", None)
    assert (other.base_url, other.key) == (None, "sk-other")
    assert settings.unused == ("OPENAI_API_KEY", "OPENAI_BASE_URL")


def test_without_providers_there_is_the_one_that_openais_settings_name(given):
    assert given().chat_providers == ()
    (only,) = given(OPENAI_BASE_URL="http://127.0.0.1:1/v1", CHATORCH_PROVIDERS="").chat_providers
    assert (only.name, only.base_url, only.key, only.models) == ("", "http://127.0.0.1:1/v1", None, frozenset())


def test_the_environment_goes_before_the_file_for_each_setting(given, tmp_path):
    (tmp_path / ".env").write_text(
        f"CHATORCH_PROVIDERS=local\n{LOCAL}BASE_URL=http://file/v1\n{LOCAL}API_KEY=sk-file\n{LOCAL}MODELS=a\n"
    )
    settings = given(**{f"{LOCAL}BASE_URL": "http://environment/v1", f"{LOCAL}API_KEY": ""})
    (local,) = settings.chat_providers
    assert (local.base_url, local.key, local.models) == ("http://environment/v1", "sk-file", {"a"})


@pytest.mark.parametrize("names", [f"main,{CANARY}!", "Main", "1st", "a:b", "*", "x" * 33, "\u00e9", "a.b", "-a"])
def test_a_name_that_is_none_is_one_line(given, names):
    (line,) = wrong(given, OPENAI_API_KEY="sk-x", CHATORCH_PROVIDERS=names)
    assert line.startswith("CHATORCH_PROVIDERS: must be names of up to 32 small letters")


@pytest.mark.parametrize("names", ["main,main", "main,a-b,a_b"])
def test_names_are_different(given, names):
    (line,) = wrong(given, OPENAI_API_KEY="sk-x", CHATORCH_PROVIDERS=names)
    assert line.startswith("CHATORCH_PROVIDERS: must be different names")


def test_a_provider_that_nobody_says_where_to_find_is_one_line(given):
    (line,) = wrong(given, CHATORCH_PROVIDERS="main,local", OPENAI_API_KEY="sk-x", CHATORCH_PROVIDER_LOCAL_MODELS="a")
    assert line == f"{LOCAL}BASE_URL: must be set, or {LOCAL}API_KEY, as CHATORCH_PROVIDERS names it"
    (line,) = wrong(given, CHATORCH_PROVIDERS="main", OPENAI_API_KEY="")
    assert line.startswith("CHATORCH_PROVIDER_MAIN_BASE_URL: must be set, or CHATORCH_PROVIDER_MAIN_API_KEY (or OPENAI")


def test_what_is_wrong_with_a_setting_of_a_provider_names_it_and_not_its_value(given):
    lines = wrong(
        given,
        CHATORCH_PROVIDERS="main,local",
        OPENAI_API_KEY="sk-x",
        CHATORCH_PROVIDER_LOCAL_BASE_URL=f"ftp://{CANARY}@host",
        CHATORCH_PROVIDER_LOCAL_API_KEY=f"{CANARY} with a blank",
    )
    assert lines == (
        f"{LOCAL}BASE_URL: must be an http:// or https:// address",
        f"{LOCAL}API_KEY: must be printable ASCII without spaces",
    )


@pytest.mark.parametrize(("setting", "value"), [("MODEL", "local:"), ("ALLOWED_MODELS", "a,main:")])
def test_a_provider_is_no_model(given, setting, value):
    variables = {f"CHATORCH_{setting}": value, f"{LOCAL}BASE_URL": "http://127.0.0.1:1/v1"}
    (line,) = wrong(given, CHATORCH_PROVIDERS="main,local", OPENAI_API_KEY="sk-x", **variables)
    assert line == f"CHATORCH_{setting}: names a provider, and no model behind its colon"


def test_what_begins_like_a_providers_setting_and_is_none_is_told(given):
    given(
        CHATORCH_PROVIDERS="local",
        CHATORCH_PROVIDER_LOCAL_BASE_URL="http://127.0.0.1:1/v1",
        CHATORCH_PROVIDER_LOCAL_BASEURL="x",
        CHATORCH_PROVIDER_LOKAL_API_KEY="x",
        CHATORCH_PROVIDER="x",
        CHATORCH_PROVIDER_XYZZY="x",
    )
    assert unknown_settings() == [
        "CHATORCH_PROVIDER: is no setting; did you mean CHATORCH_PROVIDERS?",
        f"{LOCAL}BASEURL: is no setting; did you mean {LOCAL}BASE_URL?",
        "CHATORCH_PROVIDER_LOKAL_API_KEY: is no setting; CHATORCH_PROVIDERS names no such provider",
        "CHATORCH_PROVIDER_XYZZY: is no setting",
    ]


def test_no_secret_of_a_provider_shows_when_settings_are_printed(given):
    settings = given(
        CHATORCH_PROVIDERS="local",
        CHATORCH_PROVIDER_LOCAL_BASE_URL=f"http://ada:{CANARY}@host/v1?key={CANARY}",
        CHATORCH_PROVIDER_LOCAL_API_KEY=CANARY,
    )
    assert CANARY not in f"{settings!r}{settings.chat_providers!r}"


def test_each_provider_is_known_to_take_neighbours_or_not(given):
    local = "http://127.0.0.1:1/v1"
    settings = given(CHATORCH_PROVIDERS="main,local", OPENAI_API_KEY="sk-x", CHATORCH_PROVIDER_LOCAL_BASE_URL=local)
    assert [one.takes_neighbours for one in settings.chat_providers] == [True, False]
    assert settings.takes_neighbours
    assert not given(OPENAI_BASE_URL=local).takes_neighbours
