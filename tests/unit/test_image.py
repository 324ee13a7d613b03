"""The image and the compose file, read as text: no Docker is needed, and none is there where the tests run."""

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STEPS = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
STAGES = [stage.splitlines() for stage in re.split(r"^(?=FROM )", STEPS, flags=re.MULTILINE)[1:]]
DEPENDENCIES, WHEEL, IMAGE = STAGES
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def the(instruction: str) -> str:
    """What the one such instruction of the image says."""
    [found] = [line.removeprefix(instruction).strip() for line in IMAGE if line.startswith(instruction + " ")]
    return found


def test_dependencies_are_a_layer_that_a_change_of_code_leaves_alone():
    assert not any(line.startswith("COPY") and "requirements/run.txt" not in line for line in DEPENDENCIES)
    copied = [line for line in IMAGE if line.startswith("COPY")]
    assert copied == ["COPY --from=dependencies /opt/chatorch /opt/chatorch"]
    installing = next(n for n, line in enumerate(IMAGE) if "/dist/*.whl" in line)
    assert installing > IMAGE.index(copied[0])


def test_all_that_is_installed_has_a_hash_or_is_what_was_built():
    installing = re.findall(r"pip (?:--python \S+ )?(?:install|wheel) [^&\n]*", STEPS)
    assert len(installing) == 4
    for command in installing:
        assert "--require-hashes" in command or "--no-index" in command


def test_nothing_that_builds_gets_into_the_image():
    assert "build.txt" not in "".join(IMAGE + DEPENDENCIES)
    assert "--without-pip" in "".join(DEPENDENCIES)
    assert [line for line in IMAGE if "from=wheel" in line and "--mount=type=bind" not in line] == []


def test_it_runs_as_a_user_with_a_number_and_stops_by_sigterm_as_second_process():
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", the("USER"))
    assert the("STOPSIGNAL") == "SIGTERM"
    assert json.loads(the("ENTRYPOINT")) == ["tini", "-s", "--"]
    assert json.loads(the("CMD"))[:2] == ["chatorch", "serve"]
    assert json.loads(re.search(r"CMD (\[\"python\".*\])", STEPS)[1])[:2] == ["python", "-c"]


def test_only_what_is_copied_is_sent_to_the_builder():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    sent = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = {
        word.partition("/")[0]
        for line in STEPS.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert ignored[0] == "*"
    assert copied == sent


def test_composed_services_have_an_init_and_the_time_to_drain():
    for name in ("chatorch", "migrate"):
        service = COMPOSE["services"][name]
        assert service["init"] is True
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert int(COMPOSE["services"]["chatorch"]["stop_grace_period"].rstrip("s")) >= 25
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
