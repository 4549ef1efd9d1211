"""Evaluates NetworkPolicies as an enforcing cluster does: which pod may connect to which."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Final, NamedTuple

from tests.chart.helm import Manifest, of_kind, pod_templates

COMPONENT: Final = "app.kubernetes.io/component"
NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"


class Peer(NamedTuple):
    """A pod, or, if `address` is set, a host outside the cluster."""

    labels: dict[str, str]
    namespace: str = "shop"
    address: str | None = None


class Port(NamedTuple):
    number: int
    protocol: str = "TCP"


def pods(objects: Sequence[Manifest]) -> dict[str, Peer]:
    """Return a pod of each component."""
    labels = [template["metadata"]["labels"] for template in pod_templates(objects)]
    return {each[COMPONENT]: Peer(each) for each in labels}


def may_connect(policies: Sequence[Manifest], source: Peer, target: Peer, port: Port) -> bool:
    """Return whether both ends allow the connection. A pod that no policy selects allows every connection."""
    egress = permits(policies, "Egress", source, target, port)
    return egress and permits(policies, "Ingress", target, source, port)


def permits(policies: Sequence[Manifest], direction: str, own: Peer, other: Peer, port: Port) -> bool:
    selecting = [policy["spec"] for policy in policies if selects(policy, own) and direction in types(policy["spec"])]
    rules = [rule for spec in selecting for rule in spec.get(direction.lower()) or []]
    return not selecting or any(allows(rule, other, port, "from" if direction == "Ingress" else "to") for rule in rules)


def selects(policy: Manifest, pod: Peer) -> bool:
    is_pod = pod.address is None and pod.namespace == "shop"
    return is_pod and matches(policy["spec"]["podSelector"], pod.labels)


def types(spec: dict[str, Any]) -> list[str]:
    return list(spec["policyTypes"])


def allows(rule: dict[str, Any], other: Peer, port: Port, side: str) -> bool:
    """Return whether the rule allows it. A rule without ports allows all ports, one without peers all peers."""
    ports, peers = rule.get("ports"), rule.get(side)
    return (not ports or any(covers(each, port) for each in ports)) and (
        not peers or any(is_peer(e, other) for e in peers)
    )


def covers(allowed: dict[str, Any], port: Port) -> bool:
    assert isinstance(allowed.get("port"), int), "named ports and port ranges are not supported"
    return (allowed["port"], allowed.get("protocol", "TCP")) == port


def is_peer(allowed: dict[str, Any], other: Peer) -> bool:
    if "ipBlock" in allowed:
        return other.address is not None and ip_address(other.address) in ip_network(allowed["ipBlock"]["cidr"])
    if other.address is not None:
        return False
    namespaces = allowed.get("namespaceSelector")
    in_namespace = (
        other.namespace == "shop" if namespaces is None else matches(namespaces, {NAMESPACE_NAME: other.namespace})
    )
    return in_namespace and matches(allowed.get("podSelector", {}), other.labels)


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}, "matchExpressions are not supported"
    required: dict[str, str] = selector.get("matchLabels", {})
    return required.items() <= labels.items()


def allowed(
    objects: Sequence[Manifest], others: dict[str, Peer], ports: Sequence[Port]
) -> Iterator[tuple[str, str, int]]:
    """Yield source, target and port of each allowed connection of which at least one end is a pod of the release."""
    policies, own = of_kind(objects, "NetworkPolicy"), pods(objects)
    everyone = own | others
    for source, target in ((a, b) for a in everyone for b in everyone if a in own or b in own):
        for port in ports:
            if may_connect(policies, everyone[source], everyone[target], port):
                yield source, target, port.number
