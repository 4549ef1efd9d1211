"""Static members (`group.instance.id`) with both protocols: a fenced or rejected member exits and logs why."""

import pytest

from tests.faults.workload import Workload

INSTANCE = {"ORDERS_KAFKA__PROPERTIES__group.instance.id": "orders-0"}
PROTOCOLS = {protocol: {"ORDERS_KAFKA__GROUP_PROTOCOL": protocol, **INSTANCE} for protocol in ("classic", "consumer")}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_static_member_is_killed_and_restarted_at_once(workload: Workload, protocol: str) -> None:
    """With the protocol `consumer` it is rejected until the session of the killed one expires."""
    (killed,) = workload.members(1, **PROTOCOLS[protocol])
    workload.send()
    workload.wait_stored()
    workload.kill(killed)
    workload.fault_ended()
    workload.restarted(**PROTOCOLS[protocol])
    workload.assert_exact()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_members_have_the_same_instance_id(workload: Workload, protocol: str) -> None:
    """With the classic protocol the new member fences the old one; with `consumer` the new one is rejected."""
    members = [*workload.members(1, **PROTOCOLS[protocol]), workload.start(**PROTOCOLS[protocol])]
    ended = workload.wait_exited(*members)
    assert members.index(ended) == list(PROTOCOLS).index(protocol)
    assert ended.process.returncode == 1
    (event,) = ended.logged("the Kafka client has failed")
    assert "group.instance.id in ORDERS_KAFKA__PROPERTIES" in event["problem"]
    workload.send()
    workload.assert_exact()
