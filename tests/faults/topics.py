"""Creates, changes and describes the topics of a scenario."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from confluent_kafka import IsolationLevel, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from tests.kit.waiting import eventually

PARTITIONS = 6
TOPIC_CONFIG = {"retention.ms": "-1", "max.message.bytes": str(10 * 2**20)}
ADMIN_SECONDS = 30.0


class Topics:
    """The topics of one cluster, by name."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers

    def create(self, name: str) -> None:
        create_topics(self._bootstrap_servers, name)

    def delete(self, name: str) -> None:
        admin = self._admin()
        admin.delete_topics([name])[name].result(ADMIN_SECONDS)
        eventually(
            lambda: name not in admin.list_topics(timeout=ADMIN_SECONDS).topics,
            ADMIN_SECONDS,
            f"{name} is deleted",
        )

    def topic_id(self, name: str) -> str:
        admin = self._admin()  # must outlive its request
        described = admin.describe_topics(TopicCollection([name]), request_timeout=ADMIN_SECONDS)
        return str(described[name].result().topic_id)

    def has_open_transaction(self, name: str) -> bool:
        """Return whether messages of the topic cannot be read yet because a producer's transaction is open."""
        admin = self._admin()
        return _ends(admin, name, IsolationLevel.READ_COMMITTED) != _ends(admin, name, IsolationLevel.READ_UNCOMMITTED)

    @contextmanager
    def write_denied(self, name: str) -> Iterator[None]:
        """Deny writes to a topic within the block."""
        admin = self._admin()
        rule = AclBinding(
            ResourceType.TOPIC, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", AclOperation.WRITE,
            AclPermissionType.DENY,
        )  # fmt: skip
        admin.create_acls([rule])[rule].result(ADMIN_SECONDS)
        try:
            yield
        finally:
            of_topic = AclBindingFilter(
                ResourceType.TOPIC, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", AclOperation.ANY,
                AclPermissionType.ANY,
            )  # fmt: skip
            admin.delete_acls([of_topic])[of_topic].result(ADMIN_SECONDS)

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self._bootstrap_servers})


def create_topics(bootstrap_servers: str, *names: str, brokers: Sequence[int] = (1,)) -> None:
    """Create topics with a replica on each of the brokers, which lead partitions in turn."""
    client = AdminClient({"bootstrap.servers": bootstrap_servers})
    turns = [[*brokers[turn:], *brokers[:turn]] for turn in range(len(brokers))]
    assignment = [turns[partition % len(turns)] for partition in range(PARTITIONS)]
    topics = [NewTopic(name, PARTITIONS, replica_assignment=assignment, config=TOPIC_CONFIG) for name in names]
    for request in client.create_topics(topics).values():
        request.result(ADMIN_SECONDS)
    eventually(
        lambda: set(names) <= client.list_topics(timeout=ADMIN_SECONDS).topics.keys(),
        ADMIN_SECONDS,
        f"topics {names}",
    )


def delete_topics(bootstrap_servers: str, *names: str) -> None:
    client = AdminClient({"bootstrap.servers": bootstrap_servers})
    for request in client.delete_topics(list(names)).values():
        with suppress(KafkaException):  # the scenario itself may have deleted it
            request.result(ADMIN_SECONDS)


def _ends(admin: AdminClient, topic: str, isolation: IsolationLevel) -> list[int]:
    partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    ends = admin.list_offsets(dict.fromkeys(partitions, latest), isolation_level=isolation)
    return [ends[each].result(ADMIN_SECONDS).offset for each in partitions]
