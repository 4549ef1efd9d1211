"""Guarantees while Kafka fails and when a topic is recreated."""

from typing import Final

from tests.faults.mutations.mutation import PROPERTIES, TRANSACTIONS, Mutation
from tests.faults.replace import Replacement

OFFSETS: Final = "service/handler/kafka/consumer/partitions/offsets.py"
CLIENT_ERRORS: Final = "service/handler/kafka/consumer/reports/client_errors.py"
TOPIC_IDENTITY: Final = "service/handler/kafka/consumer/topic/identity.py"

MUTATIONS: Final = (
    Mutation(
        "a broker error that the client reports is not fatal",
        Replacement(CLIENT_ERRORS, "ClientErrors.on_error", "self._warn(error)", "self._failure.record(error)"),
        (
            "test_kafka.py::test_the_broker_is_restarted[seed-1]",
            "test_kafka.py::test_the_broker_is_killed[seed-1]",
            "test_kafka.py::test_connections_to_kafka_and_postgresql_are_closed_repeatedly[seed-1]",
            "test_kafka.py::test_the_group_coordinator_moves_to_another_broker[seed-1]",
            "test_exactly_once.py::test_one_of_two_brokers_with_exactly_once[seed-1-is-restarted]",
        ),
    ),
    Mutation(
        "a fatal client error ends the process",
        Replacement(CLIENT_ERRORS, "ClientErrors.on_message_error", "self._failure.record(error)", "pass"),
        (
            "test_static_members.py::test_a_static_member_is_killed_and_restarted_at_once[seed-1-consumer]",
            "test_static_members.py::test_two_members_have_the_same_instance_id[seed-1-classic]",
            "test_static_members.py::test_two_members_have_the_same_instance_id[seed-1-consumer]",
        ),
    ),
    Mutation(
        "a failed commit is retried",
        Replacement(OFFSETS, "OffsetCommitter.on_commit", "self._log.warning(...)", "raise KafkaException(error)"),
        ("test_kafka.py::test_the_broker_is_suspended_for_longer_than_the_session_timeout[seed-1]",),
    ),
    Mutation(
        "a deleted and recreated topic is noticed",
        Replacement(TOPIC_IDENTITY, "TopicIdentity.on_answer", "if self.exists:\n    ...", ""),
        (
            "test_topics.py::test_the_topic_is_recreated_while_a_member_is_suspended[seed-1-at-least-once]",
            "test_topics.py::test_the_topic_is_recreated_while_a_member_is_suspended[seed-1-exactly-once]",
            "test_topics.py::test_the_topic_is_deleted_and_recreated_later[seed-1-at-least-once]",
        ),
    ),
    Mutation(
        "dead letters of a recreated topic are not sent before it is read from its beginning",
        Replacement(TRANSACTIONS, "TransactionalDeadLetters._commit", "if owned:\n    ...", ""),
        ("test_topics.py::test_a_recreated_topic_is_read_before_its_id_is_looked_up[seed-1]",),
    ),
    Mutation(
        "a committed offset is valid only for the topic id in its metadata",
        Replacement("service/handler/kafka/client/topic_id.py", "TopicId.contradicts", "self.exists", "False"),
        ("test_topics.py::test_offsets_of_a_deleted_topic_are_ignored[seed-1]",),
    ),
    Mutation(
        "a half-open connection to Kafka is closed",
        Replacement(PROPERTIES, "_common", '{"socket.timeout.ms": ...}', '{"socket.timeout.ms": 300_000}'),
        ("test_kafka.py::test_connections_to_the_broker_become_half_open[seed-1]",),
    ),
)
