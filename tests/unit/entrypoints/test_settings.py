"""What an operator may set, and what is said when it is wrong."""

import os

import pytest

from chatorch.entrypoints.load_settings import SettingsError, load_settings, unknown_settings
from chatorch.entrypoints.settings import PREFIX, Settings

SECRET = "s" * 32


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch, tmp_path):
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    for name in ("SECRET_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "DATABASE_URL", "REDIS_URL", "DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def problems_with(monkeypatch, **environment: str) -> list[str]:
    for name, value in ({"SECRET_KEY": SECRET} | environment).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    return list(raised.value.lines)


def test_a_secret_key_is_all_that_must_be_set(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", SECRET)
    settings = load_settings()
    assert settings.database_url == "sqlite:///./chat.db"
    assert settings.offline
    assert settings.allowed_models == frozenset()
    assert not settings.anonymous_chat


def test_a_missing_secret_key_is_named_with_the_way_out():
    with pytest.raises(SettingsError, match=r"^SECRET_KEY: must be set; `chatorch init` writes a .env with one"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("SECRET_KEY", "x" * 31, "must have at least 32 bytes, such as what `openssl rand -hex 32` prints"),
        ("CHATORCH_DETACH_GRACE_S", "0", "must be greater than 0"),
        ("CHATORCH_IDLE_TIMEOUT_S", "inf", "must be a finite number"),
        ("CHATORCH_TOTAL_TIMEOUT_S", "nan", "must be a finite number"),
        ("CHATORCH_MAX_CONTENT_CHARS", "-1", "must be greater than 0"),
        ("CHATORCH_LOG_FORMAT", "xml", "must be 'json' or 'console'"),
        ("CHATORCH_LEASE_S", "1.5", "must be at least twice CHATORCH_CHECKPOINT_S"),
        ("CHATORCH_CORS_ORIGINS", "https://a.example/x", "without a path"),
        ("CHATORCH_CORS_ORIGINS", "https://a.example\u2100b", "a name or an address"),
        ("CHATORCH_CORS_ORIGINS", "https://a.example,https://*.com", "as in https://*.example.com"),
        ("CHATORCH_CORS_ORIGINS", "https://a.example,null", "must not be null"),
        ("CHATORCH_CORS_HEADERS", "X-Tenant X-Other", "names of headers such as X-Tenant"),
        ("CHATORCH_METRICS_TOKEN", "ein wört", "must be printable ASCII without spaces"),
        ("OPENAI_API_KEY", "   ", "must be printable ASCII without spaces"),
        ("OPENAI_API_KEY", "sk-one\ntwo", "must be printable ASCII without spaces"),
        ("OPENAI_BASE_URL", "api.example.com", "must be an http:// or https:// address"),
        ("DATABASE_URL", "mysql://db", "must begin with sqlite:// or postgresql://"),
        ("REDIS_URL", "localhost:6379", "must begin with redis://, rediss://, unix:// or redis+sentinel://"),
        ("CHATORCH_REDIS_PREFIX", "all:*", "must be up to 100 letters"),
        ("CHATORCH_REDIS_PREFIX", "two words:", "must be up to 100 letters"),
        ("DEBUG", "perhaps", "must be a valid boolean"),
        ("CHATORCH_CHATKIT_WORKFLOWS", "wf_1,https://x", "must be ids of workflows, such as wf_123"),
        ("CHATORCH_CHATKIT_MAX_FILE_MB", "513", "must be less than or equal to 512"),
        ("CHATORCH_CHATKIT_TIMEOUT_S", "46", "must be less than or equal to 45"),
    ],
)
def test_a_wrong_value_takes_one_line_that_names_the_setting_and_not_the_value(monkeypatch, name, value, problem):
    (line,) = problems_with(monkeypatch, **{name: value})
    assert line.startswith(f"{name}: ")
    assert problem in line
    assert len(value) < 5 or value not in line


def test_every_wrong_setting_gets_its_line(monkeypatch):
    lines = problems_with(monkeypatch, CHATORCH_DETACH_GRACE_S="0", DEBUG="perhaps", CHATORCH_DB_POOL_SIZE="many")
    assert {line.partition(":")[0] for line in lines} == {"CHATORCH_DETACH_GRACE_S", "DEBUG", "CHATORCH_DB_POOL_SIZE"}


def test_lists_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("CHATORCH_ALLOWED_MODELS", " a, b ,,")
    monkeypatch.setenv("CHATORCH_CORS_ORIGINS", "https://A.example:443/,http://localhost:3000,tauri://localhost")
    settings = load_settings()
    assert settings.allowed_models == {"a", "b"}
    assert settings.cors_origins == {"https://a.example", "http://localhost:3000", "tauri://localhost"}


def test_workflows_keep_their_order_for_the_first_is_the_default(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("CHATORCH_CHATKIT_WORKFLOWS", " wf_b, wf_a ,,wf_b")
    assert load_settings().chatkit_workflows == ("wf_b", "wf_a")
    assert load_settings().chatkit_missing == "OPENAI_API_KEY"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    assert load_settings().chatkit_missing is None
    monkeypatch.setenv("CHATORCH_CHATKIT_WORKFLOWS", "")
    assert load_settings().chatkit_missing == "CHATORCH_CHATKIT_WORKFLOWS"


def test_an_empty_value_counts_as_unset(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", SECRET)
    for name in ("REDIS_URL", "OPENAI_API_KEY", "CHATORCH_METRICS_TOKEN", "CHATORCH_LEASE_S"):
        monkeypatch.setenv(name, "")
    settings = load_settings()
    assert (settings.redis_url, settings.metrics_token, settings.lease_s) == (None, None, 5)
    assert settings.offline


def test_the_environment_goes_before_the_file(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text(f"SECRET_KEY={SECRET}\nCHATORCH_MODEL=from-file\nCHATORCH_LEASE_S=9\nOTHER=1\n")
    monkeypatch.setenv("CHATORCH_MODEL", "from-environment")
    settings = load_settings()
    assert (settings.model, settings.lease_s) == ("from-environment", 9)


def test_a_file_that_is_not_text_is_named(tmp_path):
    (tmp_path / ".env").write_bytes(b"SECRET_KEY=\xff\xfe")
    with pytest.raises(SettingsError, match=r"^\.env: is not UTF-8 text$"):
        load_settings()


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    (tmp_path / ".env").write_bytes(f"\ufeffSECRET_KEY={SECRET}\r\nCHATORCH_LEASE_S=9\r\n".encode())
    assert load_settings().lease_s == 9
    assert unknown_settings() == []


def test_a_folder_in_place_of_the_file_is_named(tmp_path):
    (tmp_path / ".env").mkdir()
    with pytest.raises(SettingsError, match=r"^\.env: cannot be read \(Is a directory\)$"):
        load_settings()


def test_a_line_break_at_the_end_of_a_secret_is_none_of_it(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", SECRET)
    given = {"DATABASE_URL": "postgresql://me@db/chat", "REDIS_URL": "redis://cache", "OPENAI_API_KEY": "sk-x"}
    for name, value in given.items():
        monkeypatch.setenv(name, f" {value}\n")
    settings = load_settings()
    assert settings.openai_api_key is not None
    found = (settings.database_url, settings.redis_url, settings.openai_api_key.get_secret_value())
    assert found == tuple(given.values())


def test_no_number_is_so_large_that_something_fails_later(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", SECRET)
    numbers = [name for name, field in Settings.model_fields.items() if field.annotation in {int, float}]
    assert len(numbers) > 30
    for name in numbers:
        (line,) = problems_with(monkeypatch, **{PREFIX + name.upper(): "9" * 18})
        assert line.startswith(f"{PREFIX}{name.upper()}: must be "), line
        monkeypatch.delenv(PREFIX + name.upper())


def test_a_line_of_the_file_that_sets_nothing_is_named(tmp_path):
    (tmp_path / ".env").write_text(
        f"# mine\nSECRET_KEY={SECRET}\nCHATORCH_LEASE_S : 9\nCHATORCH_METRICS_TOKEN\nDEBUG='true\n"
    )
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert raised.value.lines == tuple(f".env: line {line} is not NAME=value" for line in (3, 4, 5))


def test_no_secret_shows_when_settings_are_printed():
    settings = Settings(
        secret_key="very-" + SECRET,
        openai_api_key="sk-canary",
        database_url="postgresql://ada:canary@db/chat",
        redis_url="redis://:canary@cache",
        metrics_token="canary",
    )
    assert "canary" not in repr(settings)
    assert "very" not in repr(settings)


def test_settings_are_made_from_arguments_alone(monkeypatch):
    monkeypatch.setenv("CHATORCH_MODEL", "from-environment")
    assert Settings(secret_key=SECRET).model == Settings.model_fields["model"].default


def test_an_unknown_setting_is_told_with_the_closest_one(monkeypatch, tmp_path):
    monkeypatch.setenv("CHATORCH_DETACH_GRACE", "3")
    monkeypatch.setenv("CHATORCH_DOCTOR_TOKEN", "of a command")
    (tmp_path / ".env").write_text("CHATORCH_SECRET_KEY=x\nCHATORCH_XYZZY=1\n")
    assert unknown_settings() == [
        "CHATORCH_DETACH_GRACE: is no setting; did you mean CHATORCH_DETACH_GRACE_S?",
        "CHATORCH_SECRET_KEY: is no setting; did you mean SECRET_KEY?",
        "CHATORCH_XYZZY: is no setting",
    ]


@pytest.mark.parametrize(
    ("url", "known"),
    [
        (None, True),
        ("https://api.openai.com/v1", True),
        ("https://API.openai.com:443/v1/", True),
        ("https://api.openai.com.example/v1", False),
        ("https://example.openai.azure.com/openai/v1", False),
        ("http://localhost:11434/v1", False),
        ("https://openrouter.ai/api/v1?x=api.openai.com", False),
    ],
)
def test_only_openai_is_known_to_take_neighbours_of_one_role(url: str | None, known: bool):
    assert Settings(secret_key=SECRET, openai_base_url=url).takes_neighbours is known
