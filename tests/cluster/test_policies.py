"""Network policies on a cluster that enforces them: the connections that they allow work, and no others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import pytest

from tests.chart.helm import render
from tests.chart.network_policies import Peer, Port, allowed, pods
from tests.cluster.loader import Loader
from tests.cluster.pods import create_pod
from tests.cluster.release import Release
from tests.cluster.test_rights import assigned_ids
from tests.kit.waiting import eventually

pytestmark = pytest.mark.nightly

ON = "networkPolicy.enabled=true"
COUNT = 1_000
STRANGER = {"stranger": Peer({"app": "stranger"}, namespace="elsewhere")}
STRANGER_PORT = 8080
PORTS = {
    "api": (8000, 9000),
    "consumer": (9000,),
    "kafka": (9092,),
    "postgresql": (5432,),
    "stranger": (STRANGER_PORT,),
}
"""Ports on which the pods listen."""
FINISHED = ("migration", "test")
"""Components whose pods have ended. Pods with their labels replace them."""
CONNECT = """
for address; do
  if timeout 3 bash -c "exec 3<>/dev/tcp/${address%:*}/${address#*:}" 2>/dev/null; then echo "$address"; fi
done
"""
MAX_INSTALL_SECONDS = 90

Connections = set[tuple[str, str, int]]
"""Name of the source, name of the target, port."""


@dataclass(frozen=True)
class Network:
    release: Release
    pods: dict[str, dict[str, Any]]
    """By component."""

    def connections(self) -> Connections:
        return {each for source in self.pods for each in self._from(source)}

    def _from(self, source: str) -> Iterator[tuple[str, str, int]]:
        targets = {
            f"{self.pods[target]['status']['podIP']}:{port}": (target, port)
            for target, ports in PORTS.items()
            for port in ports
            if target != source
        }
        metadata = self.pods[source]["metadata"]
        container = self.pods[source]["spec"]["containers"][0]["name"]
        command = ("exec", metadata["name"], "--container", container, "--", "bash", "-c", CONNECT, "bash", *targets)
        where = Release(self.release.helm_binary, metadata["namespace"])
        return ((source, *targets[address]) for address in where.kubectl(*command).split())


def test_allowed_connections_work_and_no_others(
    release: Release, other_namespace: str, measured: Callable[[str], None]
) -> None:
    release.install()
    network = Network(release, dict(all_pods(release, other_namespace)))
    possible = {(source, target, port) for source in network.pods for target in PORTS for port in PORTS[target]}
    possible = {each for each in possible if each[0] != each[1]}
    assert network.connections() == possible, "without policies, all connections work"
    release.upgrade("--reuse-values", "--set", ON)
    expected = possible & connections_by_policy()
    eventually(lambda: network.connections() == expected, within=60, what="only the allowed connections work")
    release.generate(COUNT)
    release.wait_for_generator()
    release.check(COUNT)
    release.helm("test", release.name)
    measured(f"{len(expected)} connections work, {len(possible - expected)} are refused")


def connections_by_policy() -> Connections:
    ports = [Port(number) for number in {port for each in PORTS.values() for port in each}]
    return set(allowed(render(settings=[ON]), STRANGER, ports))


def all_pods(release: Release, other_namespace: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a pod of each component of the release, and a stranger in another namespace that listens on a port."""
    for component, peer in pods(render(settings=[ON])).items():
        if component in FINISHED:
            yield component, create_pod(release.namespace, component, release.image, peer.labels)
        else:
            yield component, release.pods(component)[0]
    server = ("python", "-m", "http.server", str(STRANGER_PORT))
    yield "stranger", create_pod(other_namespace, "stranger", release.image, STRANGER["stranger"].labels, server)


def test_with_assigned_ids_and_policies_a_release_is_ready_within_90_seconds_and_upgrades_fail_no_request(
    release: Release, measured: Callable[[str], None]
) -> None:
    ids = assigned_ids("podSecurityContext", "kafka.podSecurityContext", "postgresql.podSecurityContext")
    started = monotonic()
    release.install(*ids, "--set", ON)
    seconds = monotonic() - started
    release.generate(COUNT)
    release.wait_for_generator()
    with Loader(release).get() as results:
        release.upgrade("--reuse-values", "--set", "cache.maxEntries=20000")
    assert results.failed == {}
    assert results.succeeded > 100
    release.check(COUNT)
    measured(f"ready after {seconds:.0f} s; {results.succeeded:,} requests in an upgrade, 0 failed")
    assert seconds <= MAX_INSTALL_SECONDS
