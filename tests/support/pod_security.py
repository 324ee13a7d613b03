"""Pod Security Standards, "restricted", which has all of "baseline" in it, as rules over a parsed pod.

https://kubernetes.io/docs/concepts/security/pod-security-standards/, as of Kubernetes 1.34. Windows is left out.
"""

from collections.abc import Iterator
from typing import Any

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SYSCTLS = {
    *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"),
    *("net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports"),
    *("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl"),
    *("net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
}
SELINUX = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
PROFILES = {"RuntimeDefault", "Localhost"}
Pod = dict[str, Any]


def violations(metadata: Pod, spec: Pod) -> list[str]:
    """What a namespace that enforces "restricted" would refuse the pod for; nothing where it would take it."""
    return [*_of_pod(metadata, spec), *(found for one in containers(spec) for found in _of_container(spec, one))]


def containers(spec: Pod) -> list[Pod]:
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [container for kind in kinds for container in spec.get(kind) or []]


def _of_pod(metadata: Pod, spec: Pod) -> Iterator[str]:
    context = spec.get("securityContext") or {}
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield name
    for volume in spec.get("volumes") or []:
        if set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume['name']}"
    if {sysctl["name"] for sysctl in context.get("sysctls") or []} - SYSCTLS:
        yield "sysctls"
    for name, value in (metadata.get("annotations") or {}).items():
        allowed = value == "runtime/default" or value.startswith("localhost/")
        if name.startswith("container.apparmor.security.beta.kubernetes.io/") and not allowed:
            yield "AppArmor annotation"
    yield from _shared("pod", context)


def _of_container(spec: Pod, container: Pod) -> Iterator[str]:
    name = container["name"]
    pod = spec.get("securityContext") or {}
    own = container.get("securityContext") or {}
    yield from _shared(name, own)
    if own.get("privileged"):
        yield f"{name}: privileged"
    if own.get("procMount") not in {None, "Default"}:
        yield f"{name}: procMount"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation"
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []) or set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield f"{name}: capabilities"
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield f"{name}: hostPort"
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield f"{name}: runAsNonRoot"
    if (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type") not in PROFILES:
        yield f"{name}: seccompProfile"
    if any(_names_a_host(handler) for handler in _handlers(container)):
        yield f"{name}: host of a probe or hook"


def _shared(place: str, context: Pod) -> Iterator[str]:
    """What both a pod and a container may say."""
    if context.get("runAsUser") == 0:
        yield f"{place}: runAsUser"
    if context.get("runAsNonRoot") is False:
        yield f"{place}: runAsNonRoot"
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type") not in SELINUX or selinux.get("user") or selinux.get("role"):
        yield f"{place}: seLinuxOptions"
    if (context.get("appArmorProfile") or {"type": "RuntimeDefault"})["type"] not in PROFILES:
        yield f"{place}: appArmorProfile"
    if (context.get("seccompProfile") or {"type": "RuntimeDefault"})["type"] not in PROFILES:
        yield f"{place}: seccompProfile"


def _handlers(container: Pod) -> Iterator[Pod]:
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        yield container.get(probe) or {}
    yield from (container.get("lifecycle") or {}).values()


def _names_a_host(handler: Pod) -> bool:
    return any((handler.get(kind) or {}).get("host") for kind in ("httpGet", "tcpSocket"))
