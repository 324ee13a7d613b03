"""MCP servers by name, in the environment and in a file."""

import os

import pytest

from chatorch.entrypoints.load_settings import SettingsError, load_settings, unknown_settings

SECRET = "s" * 32
CANARY = "canary4711"
FILES = "CHATORCH_MCP_FILES_"
FILE = "CHATORCH_MCP_FILE"
URL, COMMAND, TIMEOUT = (f"mcp.toml: servers.files.{own}" for own in ("url", "command", "timeout_s"))
DEEP = f"{FILE}: what the file has is nested too deeply"


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Sets variables, and reads the settings."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "CHATORCH_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SECRET_KEY", SECRET)

    def read(toml: str | None = None, **variables: str):
        if toml is not None:
            (tmp_path / "mcp.toml").write_text(toml)
            variables["CHATORCH_MCP_FILE"] = "mcp.toml"
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return read


def wrong(given, toml: str | None = None, **variables: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        given(toml, **variables)
    assert CANARY not in str(raised.value)
    return raised.value.lines


def revealed(secrets) -> dict[str, str]:
    return {name: secret.get_secret_value() for name, secret in secrets.items()}


def test_without_servers_there_are_none(given):
    assert given().mcp_servers == ()
    assert given(CHATORCH_MCP_SERVERS="", CHATORCH_MCP_FILE="").mcp_servers == ()


def test_a_server_has_settings_of_its_own(given):
    settings = given(
        CHATORCH_MCP_SERVERS=" files, git-hub ,,",
        CHATORCH_MCP_FILES_COMMAND="npx -y 'server files' /data",
        CHATORCH_MCP_FILES_ENV="TOKEN=a=b\nLEVEL=3",
        CHATORCH_MCP_GIT_HUB_URL="https://mcp.example.com/mcp",
        CHATORCH_MCP_GIT_HUB_HEADERS="Authorization: Bearer x:y;z\n\nX-Tenant: acme\n",
        CHATORCH_MCP_GIT_HUB_TIMEOUT_S="7.5",
        CHATORCH_MCP_GIT_HUB_APPROVAL="always",
    )
    files, hub = settings.mcp_servers
    assert (files.name, files.command, files.url) == ("files", ("npx", "-y", "server files", "/data"), None)
    assert (revealed(files.env), files.timeout_s, files.approval) == ({"TOKEN": "a=b", "LEVEL": "3"}, 60, "annotated")
    assert (hub.name, hub.url, hub.command) == ("git-hub", "https://mcp.example.com/mcp", ())
    assert revealed(hub.headers) == {"Authorization": "Bearer x:y;z", "X-Tenant": "acme"}
    assert (hub.timeout_s, hub.approval) == (7.5, "always")
    assert unknown_settings() == []


def test_a_file_has_the_same_and_takes_secrets_from_the_environment(given):
    toml = """
    [servers.files]
    command = ["run", "${FOLDER}/x"]
    env = { TOKEN = "${TOKEN}" }
    timeout_s = 5

    [servers.hub]
    url = "https://mcp.example.com/mcp"
    headers = { Authorization = "Bearer ${TOKEN}" }
    approval = "never"
    """
    variables = {"TOKEN": CANARY, "FOLDER": "/a b", "CHATORCH_MCP_SERVERS": "own", "CHATORCH_MCP_OWN_COMMAND": "own"}
    own, files, hub = given(toml, **variables).mcp_servers

    assert (own.name, files.name, hub.name) == ("own", "files", "hub")
    assert (files.command, revealed(files.env), files.timeout_s) == (("run", "/a b/x"), {"TOKEN": CANARY}, 5)
    assert (revealed(hub.headers), hub.approval) == ({"Authorization": f"Bearer {CANARY}"}, "never")
    assert unknown_settings() == []
    assert CANARY not in repr(given(toml))


@pytest.mark.parametrize(
    "name", [CANARY + "!", "Files", "1st", "a__b", "a_", "x" * 33, "\u00e9", "a.b", "-a", "a b", "a\u0660"]
)
def test_a_name_that_is_none_is_one_line(given, name):
    (line,) = wrong(given, CHATORCH_MCP_SERVERS=f"ok,{name}", CHATORCH_MCP_OK_COMMAND="x")
    assert line.startswith("CHATORCH_MCP_SERVERS: must be names of up to 32 small letters")
    toml = f'[servers.good]\ncommand = "x"\n[servers."{name}"]\ncommand = "x"'
    (line,) = wrong(given, toml, CHATORCH_MCP_SERVERS="own", CHATORCH_MCP_OWN_COMMAND="x")
    assert line.startswith("mcp.toml: table 2 of [servers.…]: must be names of up to 32 small letters")


def test_each_table_with_a_name_that_is_none_is_a_line(given):
    tables = [f'[servers."{name}"]\ncommand = "x"' for name in ("A", "b", "c d")]
    lines = wrong(given, "\n".join(tables))
    assert [line.partition(" of ")[0] for line in lines] == ["mcp.toml: table 1", "mcp.toml: table 3"]


@pytest.mark.parametrize("names", ["files,files", "a-b,a_b"])
def test_names_are_different(given, names):
    (line,) = wrong(given, CHATORCH_MCP_SERVERS=names)
    assert line.startswith("CHATORCH_MCP_SERVERS: must be different names")
    (line,) = wrong(
        given, "[servers.files]\ncommand = 'x'", CHATORCH_MCP_SERVERS="files", CHATORCH_MCP_FILES_URL="http://a"
    )
    assert line.startswith("CHATORCH_MCP_SERVERS: must be different names, those of CHATORCH_MCP_FILE included")


@pytest.mark.parametrize(
    ("own", "value", "problem"),
    [
        ("URL", f"ftp://{CANARY}", "must be an http:// or https:// address"),
        ("URL", f"http://a/{CANARY} b", "must be an http:// or https:// address"),
        ("COMMAND", f"run '{CANARY}", "must be a command line, with each quote closed"),
        ("COMMAND", f"'' {CANARY}", "must begin with a program, and have no NUL in it"),
        ("HEADERS", CANARY, "must be lines such as Authorization: Bearer abc"),
        ("HEADERS", f"A b: {CANARY}", "must be headers of printable ASCII, such as Authorization: Bearer abc"),
        ("HEADERS", f"A: {CANARY}\u00e9", "must be headers of printable ASCII, such as Authorization: Bearer abc"),
        ("ENV", CANARY, "must be lines such as TOKEN=abc"),
        ("ENV", f"A-B={CANARY}", "must be variables, such as TOKEN=abc"),
        ("TIMEOUT_S", CANARY, "must be a valid number, unable to parse string as a number"),
        ("TIMEOUT_S", "0", "must be greater than 0"),
        ("APPROVAL", CANARY, "must be 'annotated', 'declared', 'always' or 'never'"),
    ],
)
def test_a_value_that_is_wrong_is_one_line_that_names_its_setting(given, own, value, problem):
    (line,) = wrong(given, CHATORCH_MCP_SERVERS="files", **{f"{FILES}{own}": value})
    assert line == f"{FILES}{own}: {problem}"


def test_a_server_is_one_of_two_kinds(given):
    kinds = f"{FILES}URL: must be set, or {FILES}COMMAND, and not both"
    assert wrong(given, CHATORCH_MCP_SERVERS="files") == (kinds,)
    assert wrong(given, **{f"{FILES}URL": "http://a", f"{FILES}COMMAND": "x"}) == (kinds,)
    assert wrong(given, **{f"{FILES}URL": "", f"{FILES}HEADERS": "A: b"})[0].startswith(f"{FILES}HEADERS: must not be")
    assert wrong(given, **{f"{FILES}URL": "http://a", f"{FILES}COMMAND": "", f"{FILES}ENV": "A=b"})[0].startswith(
        f"{FILES}ENV: must not be"
    )


@pytest.mark.parametrize("user", [f"ada:{CANARY}", f":{CANARY}", CANARY])
def test_a_user_in_an_address_and_an_authorization_are_refused_together(given, user):
    servers = {"CHATORCH_MCP_SERVERS": "files", f"{FILES}URL": f"http://{user}@a/mcp"}
    line = f"{FILES}HEADERS: must not have Authorization beside a user in {FILES}URL"
    assert wrong(given, **servers, **{f"{FILES}HEADERS": f"AUTHORIZATION: Bearer {CANARY}"}) == (line,)
    (server,) = given(**{f"{FILES}HEADERS": f"X-Key: {CANARY}"}).mcp_servers
    assert server.url == f"http://{user}@a/mcp"


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        (f"[servers.files\n{CANARY}", "mcp.toml: is no TOML (line 1)"),
        (f"[servers.files]\nurl = {CANARY}", "mcp.toml: is no TOML (line 2)"),
        (f"{CANARY} = 1", "mcp.toml: must have tables [servers.NAME] and nothing else"),
        (f"servers = '{CANARY}'", "mcp.toml: must have tables [servers.NAME] and nothing else"),
        (f"[servers]\nfiles = '{CANARY}'", "mcp.toml: must have tables [servers.NAME] and nothing else"),
        ("[servers.files]\nurls = 'x'", "mcp.toml: servers.files.urls: is no setting; did you mean url?"),
        ("[servers.files]\nxyz = 'x'", "mcp.toml: servers.files.xyz: is no setting"),
        ("[servers.files]\nfile = 'x'", "mcp.toml: servers.files.file: is no setting"),
        (
            "[servers.files]",
            "mcp.toml: servers.files.url: must be set, or mcp.toml: servers.files.command, and not both",
        ),
        (f"[servers.files]\nurl = '{CANARY}'", "mcp.toml: servers.files.url: must be an http:// or https:// address"),
        ("[servers.files]\nurl = 3", "mcp.toml: servers.files.url: must be a valid string"),
        ("[servers.files]\ncommand = [3]", "mcp.toml: servers.files.command: must be a valid string"),
        ("[servers.files]\nheaders = []", "mcp.toml: servers.files.headers: must be a valid dictionary"),
        ("[servers.files]\nheaders = {A = 3}", "mcp.toml: servers.files.headers: must be a valid string"),
        (f"[servers.files]\nurl = 'http://a b/{CANARY}'", f"{URL}: must be an http:// or https:// address"),
        (f'[servers.files]\nurl = "http://a\\tb/{CANARY}"', f"{URL}: must be an http:// or https:// address"),
        (f'[servers.files]\nurl = "http://a/\\u0001{CANARY}"', f"{URL}: must be an http:// or https:// address"),
        (
            f"[servers.files]\ncommand = ['', '{CANARY}']",
            f"{COMMAND}: must begin with a program, and have no NUL in it",
        ),
        (
            f"[servers.files]\ncommand = [' ', '{CANARY}']",
            f"{COMMAND}: must begin with a program, and have no NUL in it",
        ),
        ('[servers.files]\ncommand = ["a", "\\u0000"]', f"{COMMAND}: must begin with a program, and have no NUL in it"),
        ("[servers.files]\ntimeout_s = true", f"{TIMEOUT}: must be a valid number"),
        ("[servers.files]\ntimeout_s = false", f"{TIMEOUT}: must be a valid number"),
        ("[servers.files]\ntimeout_s = nan", f"{TIMEOUT}: must be a finite number"),
        (
            "[servers.files]\ncommand = '${NOBODY_SET}'",
            "mcp.toml: servers.files.command: names a variable that is not set",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_one_line_that_names_its_place(given, toml, line):
    assert wrong(given, toml) == (line,)


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        (f"[servers.files]\ntimeout_s = 0x{'f' * 5000}", f"{TIMEOUT}: must be a valid number"),
        (f"[servers.files]\ntimeout_s = -0x{'f' * 5000}", "mcp.toml: is no TOML (line 2)"),
        (f"[servers.files]\ntimeout_s = {'4711' * 1250}", f"{FILE}: the file has a number of too many digits"),
        (f"[servers.files]\ncommand = {'[' * 500}{']' * 500}", DEEP),
        (f"[servers.files]\ncommand = {'[' * 100_000}", DEEP),
        (f"[servers.files]\nheaders = {'{a=' * 500}'{CANARY}'{'}' * 500}", DEEP),
        (f"[servers.files]\nheaders{'.a' * 5000} = '{CANARY}'", DEEP),
        (f"[servers.files.headers{'.a' * 5000}]", DEEP),
        (f"{CANARY}{'.a' * 5000} = 1", "mcp.toml: must have tables [servers.NAME] and nothing else"),
    ],
    ids=range(9),
)
def test_what_is_beyond_measure_in_the_file_is_one_line_that_names_its_place(given, toml, line):
    assert wrong(given, toml) == (line,)


def test_a_file_that_cannot_be_read_is_one_line(given, tmp_path):
    assert wrong(given, CHATORCH_MCP_FILE="nowhere.toml") == (
        "CHATORCH_MCP_FILE: cannot be read (No such file or directory)",
    )
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    assert wrong(given, CHATORCH_MCP_FILE="latin.toml") == ("latin.toml: is not UTF-8 text",)


def test_what_begins_like_a_servers_setting_and_is_none_is_told(given):
    given(
        CHATORCH_MCP_SERVERS="files",
        CHATORCH_MCP_FILES_COMMAND="x",
        CHATORCH_MCP_FILES_COMAND="x",
        CHATORCH_MCP_FILLES_URL="x",
        CHATORCH_MCP_SERVER="x",
        CHATORCH_MCP_Q="x",
    )
    assert unknown_settings() == [
        "CHATORCH_MCP_FILES_COMAND: is no setting; did you mean CHATORCH_MCP_FILES_COMMAND?",
        "CHATORCH_MCP_FILLES_URL: is no setting; CHATORCH_MCP_SERVERS names no such server",
        "CHATORCH_MCP_Q: is no setting",
        "CHATORCH_MCP_SERVER: is no setting; did you mean CHATORCH_MCP_SERVERS?",
    ]


def test_the_settings_become_servers(given):
    from chatorch.entrypoints.container.mcp import mcp_tools

    assert mcp_tools(given()) is None
    tools = mcp_tools(
        given(CHATORCH_MCP_SERVERS="files", CHATORCH_MCP_FILES_COMMAND="run x", CHATORCH_MCP_FILES_ENV="A=b")
    )
    assert tools is not None
    (connection,) = tools._connections.values()
    assert (connection.server.command, connection.server.env) == (("run", "x"), {"A": "b"})
    assert tools.offered() == ()
