"""The manifests in `deploy/kubernetes`, held to rules, without a cluster."""

import copy
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatorch.entrypoints.app import create_app
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.settings import Settings
from tests.support.pod_security import containers, violations

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
OBJECTS = [one for path in sorted(FOLDER.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text("utf-8"))]
OF_A_KIND = {one["kind"]: one for one in OBJECTS}
PODS = {one["metadata"]["name"]: one["spec"]["template"] for one in OBJECTS if "template" in one.get("spec", {})}
SERVER = PODS["chatorch"]["spec"]

each_pod = pytest.mark.parametrize("pod", PODS.values(), ids=PODS)


@each_pod
def test_a_pod_passes_pod_security_restricted(pod: dict):
    assert violations(pod.get("metadata", {}), pod["spec"]) == []


@pytest.mark.parametrize(
    ("path", "value", "refused"),
    [
        ("hostNetwork", True, "hostNetwork"),
        ("volumes", [{"name": "all", "hostPath": {"path": "/"}}], "volume all"),
        ("securityContext.runAsNonRoot", None, "chatorch: runAsNonRoot"),
        ("securityContext.runAsUser", 0, "pod: runAsUser"),
        ("securityContext.seccompProfile", None, "chatorch: seccompProfile"),
        ("securityContext.seccompProfile", {"type": "Unconfined"}, "pod: seccompProfile"),
        ("securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}], "sysctls"),
        ("containers.0.securityContext", None, "chatorch: allowPrivilegeEscalation"),
        ("containers.0.securityContext.privileged", True, "chatorch: privileged"),
        ("containers.0.securityContext.capabilities.add", ["NET_ADMIN"], "chatorch: capabilities"),
        ("containers.0.securityContext.capabilities.drop", ["NET_RAW"], "chatorch: capabilities"),
        ("containers.0.securityContext.seLinuxOptions", {"type": "spc_t"}, "chatorch: seLinuxOptions"),
        ("containers.0.securityContext.procMount", "Unmasked", "chatorch: procMount"),
        ("containers.0.ports.0.hostPort", 80, "chatorch: hostPort"),
        ("containers.0.livenessProbe.httpGet.host", "10.0.0.1", "chatorch: host of a probe or hook"),
        ("initContainers.0.securityContext.runAsUser", 0, "schema: runAsUser"),
    ],
)
def test_the_rules_find_what_they_are_for(path: str, value: Any, refused: str):
    spec = copy.deepcopy(SERVER)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = spec
    for part in way:
        place = place[part]
    place[last] = value
    assert refused in violations({}, spec)


@each_pod
def test_a_pod_has_no_more_than_it_needs(pod: dict):
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    written = {volume["name"] for volume in spec.get("volumes", []) if "emptyDir" in volume}
    for container in containers(spec):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert set(container["resources"]) == {"requests", "limits"}
        assert "memory" in container["resources"]["limits"]
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= written
        assert {"secretRef": {"name": "chatorch"}} in container["envFrom"]


def test_it_has_the_time_to_drain():
    drain = float(OF_A_KIND["ConfigMap"]["data"]["CHATORCH_DRAIN_LIMIT_S"])
    wait = float(SERVER["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert SERVER["terminationGracePeriodSeconds"] >= drain + wait + 5
    assert OF_A_KIND["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_probes_ask_what_is_meant_for_them():
    [server] = SERVER["containers"]
    asked = {name: probe["httpGet"] for name, probe in server.items() if name.endswith("Probe")}
    paths = {name: get["path"] for name, get in asked.items()}
    assert paths == {
        "startupProbe": "/health/live",
        "livenessProbe": "/health/live",
        "readinessProbe": "/health/ready",
    }
    assert {get["port"] for get in asked.values()} == {"http"}


def test_the_way_back_of_the_page_is_the_same_job_with_other_arguments():
    page = (ROOT / "docs" / "operation.md").read_text("utf-8")
    [command] = re.findall(r"^sed .*(?= \| kubectl apply -f -$)", page, re.MULTILINE)
    changed = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    [job] = [one for one in yaml.safe_load_all(changed) if one]
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["chatorch", "migrate", "--down", "--to", "REVISION", "--yes"]
    assert violations({}, job["spec"]["template"]["spec"]) == []


def test_two_of_them_stand_apart_and_one_stays():
    assert OF_A_KIND["Deployment"]["spec"]["replicas"] >= 2
    assert OF_A_KIND["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    keys = {spread["topologyKey"] for spread in SERVER["topologySpreadConstraints"]}
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def test_whatever_selects_pods_selects_the_right_ones():
    labels = {name: pod["metadata"]["labels"] for name, pod in PODS.items()}
    assert labels["chatorch"]["app"] != labels["chatorch-migrate"]["app"]
    [expression] = OF_A_KIND["NetworkPolicy"]["spec"]["podSelector"]["matchExpressions"]
    assert set(expression["values"]) == {label["app"] for label in labels.values()}
    for spec in (OF_A_KIND["Deployment"]["spec"], OF_A_KIND["PodDisruptionBudget"]["spec"]):
        assert spec["selector"]["matchLabels"] == labels["chatorch"]
    assert OF_A_KIND["Service"]["spec"]["selector"] == labels["chatorch"]


def test_only_a_proxy_and_prometheus_come_in_and_only_what_is_needed_goes_out():
    policy = OF_A_KIND["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    [coming] = policy["ingress"]
    assert len(coming["from"]) == 2
    assert coming["ports"] == [{"port": "http"}]
    assert [{port["port"] for port in rule["ports"]} for rule in policy["egress"]] == [{53}, {5432, 6379}, {443}]
    assert all(rule["to"] for rule in policy["egress"])
    [provider] = policy["egress"][-1]["to"]
    assert "169.254.0.0/16" in provider["ipBlock"]["except"]


def test_all_that_is_public_is_routed_and_metrics_are_not():
    [rule] = OF_A_KIND["Ingress"]["spec"]["rules"]
    routed = [(path["path"], path["pathType"]) for path in rule["http"]["paths"]]

    def goes(address: str) -> bool:
        return any(
            address == path or (kind == "Prefix" and address.startswith(path.rstrip("/") + "/"))
            for path, kind in routed
        )

    app = create_app(Container(settings=Settings(secret_key="s" * 32, chatkit_server=True)))
    served = {*app.openapi()["paths"], "/", "/docs", "/openapi.json", "/ws/chat/laptop"}
    assert {address for address in served if not goes(address)} == {"/metrics"}
    assert not goes("/metrics/")


def test_the_ingress_of_the_page_on_proxies_is_this_one():
    shown = (FOLDER / "ingress.yaml").read_text("utf-8").partition("\n\n")[2]
    assert shown in (ROOT / "docs" / "proxies.md").read_text("utf-8")


def test_settings_are_settings_and_secrets_are_in_the_secret():
    known = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
    told = set(re.findall(r"--from-literal=([A-Z_]+)=", (FOLDER / "chatorch.yaml").read_text("utf-8")))
    assert told == {"SECRET_KEY", "OPENAI_API_KEY", "CHATORCH_METRICS_TOKEN", "DATABASE_URL", "REDIS_URL"}
    assert set(OF_A_KIND["ConfigMap"]["data"]) | told <= known
    assert not told & set(OF_A_KIND["ConfigMap"]["data"])


def test_the_image_is_one_and_the_user_is_the_image_s():
    assert len({one["image"] for pod in PODS.values() for one in containers(pod["spec"])}) == 1
    user = re.search(r"^USER (\d+)(?::(\d+))?$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert user is not None
    for pod in PODS.values():
        assert str(pod["spec"]["securityContext"]["runAsUser"]) == user[1]
