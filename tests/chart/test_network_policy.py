"""All connections that the NetworkPolicies allow.

Evaluated here; tests/cluster/test_policies.py compares the result with a cluster that enforces policies.
"""

import pytest

from tests.chart.helm import of_kind, render
from tests.chart.network_policies import Peer, Port, allowed, may_connect, pods
from tests.chart.test_pods import RELEASES, RETENTION

ON = "networkPolicy.enabled=true"
PORTS = [Port(number) for number in (53, 80, 443, 5432, 8000, 9000, 9092, 9093, 9094)]
STRANGER = {"stranger": Peer({"app": "stranger"}, namespace="elsewhere")}
SERVERS = {"server": Peer({}, address="10.1.2.3"), "internet": Peer({}, address="203.0.113.7")}
TOOLS = {
    "ingress": Peer({"app": "controller"}, namespace="ingress"),
    "prometheus": Peer({"app": "prometheus"}, namespace="monitoring"),
}
DATABASE_CLIENTS = ("api", "consumer", "migration")
"""The test of a release reads through the API."""
APPLICATION = (*DATABASE_CLIENTS, "test")


def connections(objects: list[dict[str, object]], others: dict[str, Peer]) -> set[tuple[str, str, int]]:
    """Return the allowed connections except DNS, which has its own test."""
    return {each for each in allowed(objects, others, PORTS) if each[2] != 53}


def test_with_the_charts_servers_each_pod_reaches_only_what_it_needs() -> None:
    to_servers = {(pod, "kafka", 9092) for pod in APPLICATION} | {(pod, "postgresql", 5432) for pod in DATABASE_CLIENTS}
    to_themselves = {("kafka", "kafka", 9092), ("postgresql", "postgresql", 5432)}
    to_the_api = {("test", "api", 8000), ("stranger", "api", 8000)}
    to_metrics = {("stranger", "api", 9000), ("stranger", "consumer", 9000)}
    assert connections(render(settings=[ON]), STRANGER) == to_servers | to_themselves | to_the_api | to_metrics


def test_with_external_servers_pods_reach_their_ports_at_any_address() -> None:
    settings = [ON, "kafka.enabled=false", "kafka.bootstrapServers=k:9093", "networkPolicy.kafkaPorts={9093,9094}"]
    settings += ["postgresql.enabled=false", "postgresql.host=p", "postgresql.port=5432", "postgresql.existingSecret=s"]
    found = connections(render(settings=settings), SERVERS)
    to_servers = {(pod, server, port) for pod in APPLICATION for server in SERVERS for port in (9093, 9094)}
    to_servers |= {(pod, server, 5432) for pod in DATABASE_CLIENTS for server in SERVERS}
    inbound = {
        (outside, pod, port) for outside in SERVERS for pod, port in (("api", 8000), ("api", 9000), ("consumer", 9000))
    }
    assert found == to_servers | inbound | {("test", "api", 8000)}


def test_the_hardened_release_allows_only_its_named_peers_and_servers() -> None:
    found = connections(render(RELEASES["hardened"]), STRANGER | SERVERS | TOOLS)
    to_servers = {(pod, "server", 9092) for pod in APPLICATION} | {(pod, "server", 5432) for pod in DATABASE_CLIENTS}
    to_servers |= {("prune", "server", 5432)}
    inbound = {("ingress", "api", 8000), ("prometheus", "api", 9000), ("prometheus", "consumer", 9000)}
    assert found == to_servers | inbound | {("test", "api", 8000)}


def test_prune_reaches_only_postgresql() -> None:
    found = connections(render(settings=[ON, *RETENTION]), STRANGER) - connections(render(settings=[ON]), STRANGER)
    assert found == {("prune", "postgresql", 5432)}


def test_extra_egress_applies_to_the_pods_of_the_application() -> None:
    rule = "networkPolicy.extraEgress[0]"
    collector = [f"{rule}.ports[0].port=443", f"{rule}.to[0].ipBlock.cidr=10.0.0.0/8"]
    found = connections(render(settings=[ON, *collector]), SERVERS) - connections(render(settings=[ON]), SERVERS)
    assert found == {(pod, "server", 443) for pod in APPLICATION}


def test_every_pod_may_use_dns_and_is_selected_by_a_policy() -> None:
    objects = render(settings=[ON])
    policies, own = of_kind(objects, "NetworkPolicy"), pods(objects)
    assert own.keys() == {*APPLICATION, "kafka", "postgresql"}
    for pod in own.values():
        for protocol in ("UDP", "TCP"):
            assert may_connect(policies, pod, STRANGER["stranger"], Port(53, protocol))
        assert not may_connect(policies, pod, STRANGER["stranger"], Port(443))


def test_without_policies_every_connection_is_allowed() -> None:
    assert ("stranger", "postgresql", 5432) in connections(render(), STRANGER)


@pytest.mark.parametrize("name", ["orders", "shop"])
def test_another_release_in_the_namespace_reaches_only_public_ports(name: str) -> None:
    neighbor = {"neighbor": pods(render(name="other"))["consumer"]}
    found = connections(render(name=name, settings=[ON]), neighbor)
    assert {each for each in found if each[0] == "neighbor"} == {
        ("neighbor", "api", 8000),
        ("neighbor", "api", 9000),
        ("neighbor", "consumer", 9000),
    }
