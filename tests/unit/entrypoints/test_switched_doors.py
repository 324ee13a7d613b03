"""Which doors are open: all, or those that the operator names."""

import pytest

from chatorch.entrypoints.doors import DOORS, open_doors
from chatorch.entrypoints.load_settings import SettingsError, load_settings
from chatorch.entrypoints.setting_types import SWITCHED_DOORS


@pytest.fixture
def names(monkeypatch, tmp_path):
    """Of the doors that are open with this setting."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "s" * 32)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")

    def opened(doors: str | None = None, **more: str) -> set[str]:
        for name, value in {"CHATORCH_DOORS": doors, **more}.items():
            if value is not None:
                monkeypatch.setenv(name, value)
        return {door.name for door in open_doors(load_settings())}

    return opened


def test_all_are_open_unless_some_are_named(names):
    assert names() == {listed.name for listed in DOORS}
    assert names("ws") == {"api", "metrics", "ws"}
    assert names("ws, chatkit") == {"api", "metrics", "ws", "chatkit"}
    assert "ws" in names("")  # as with every setting, that is unset


def test_a_door_with_a_switch_of_its_own_needs_both(names):
    assert "chatkit" not in names("ws,chatkit", CHATORCH_CHATKIT_SERVER="false")


def test_a_name_that_no_door_has_stops_the_start_with_those_that_there_are(names):
    with pytest.raises(SettingsError, match=r"CHATORCH_DOORS: must be some of .*ws") as refused:
        names("ws,canary4711")
    assert "canary4711" not in str(refused.value)


def test_every_door_may_be_left_out_but_our_own():
    assert {listed.name for listed in DOORS} - {"api", "metrics"} <= set(SWITCHED_DOORS)
