"""The state of the consumer group."""

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from service.handler.kafka.client.translate import translated


@translated()
def fetch_group_state(admin: AdminClient, group_id: str, timeout: float) -> ConsumerGroupState:
    """Block for at most `timeout` seconds. Return DEAD if the group does not exist. Raises KafkaRequestFailed.

    This lists all groups: describing one can abort the process (see GroupMembers).
    """
    answer = admin.list_consumer_groups(request_timeout=timeout).result()
    states: list[ConsumerGroupState] = [group.state for group in answer.valid if group.group_id == group_id]
    if states:
        return states[0]
    if answer.errors:  # a broker that did not answer may know the group
        raise KafkaException(answer.errors[0])
    return ConsumerGroupState.DEAD
