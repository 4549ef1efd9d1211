"""Calls librdkafka directly to produce a header whose name is not UTF-8, which the Python client cannot."""

import ctypes
from pathlib import Path

import confluent_kafka

FLUSH_SECONDS = 10
_PRODUCER = 0
_END, _TOPIC, _VALUE, _FLAGS, _HEADER, _PARTITION = 0, 1, 4, 7, 9, 3
_COPY = 2


def produce_with_header(bootstrap_servers: str, topic: str, value: bytes, name: bytes) -> None:
    """Produce a record with this value and a header of this name to partition 0, and block until it is acknowledged."""
    library = _librdkafka()
    error = ctypes.create_string_buffer(512)
    settings = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(settings, b"bootstrap.servers", bootstrap_servers.encode(), error, len(error))
    producer = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, settings, error, len(error)))
    assert producer.value, error.value
    sent = library.rd_kafka_producev(
        producer, _TOPIC, topic.encode(), _PARTITION, 0, _FLAGS, _COPY, _VALUE, value, ctypes.c_size_t(len(value)),
        _HEADER, name, b"1", ctypes.c_ssize_t(1), _END,
    )  # fmt: skip
    assert sent == 0
    assert library.rd_kafka_flush(producer, FLUSH_SECONDS * 1_000) == 0
    library.rd_kafka_destroy(producer)


def _librdkafka() -> ctypes.CDLL:
    """Return the library in the client's wheel."""
    (path,) = Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/librdkafka*")
    library = ctypes.CDLL(str(path))
    library.rd_kafka_conf_new.restype = library.rd_kafka_new.restype = ctypes.c_void_p
    return library
