"""The wire format of Confluent's serializers."""

from uuid import UUID

import pytest

from service.handler.kafka.registry.frame import describe_key, read_frame

GUID = UUID("8a5f1cd6-5b2f-4f0c-9a53-0a4a4f5f5c11")
HEADER = b"\x01" + GUID.bytes


def test_an_id_comes_in_front_of_the_value() -> None:
    assert read_frame(b"\0\0\0\x01\x02content", None) == (258, b"content")


def test_the_largest_id_is_read_without_a_sign() -> None:
    assert read_frame(b"\0\xff\xff\xff\xff", None) == (2**32 - 1, b"")


def test_a_guid_comes_in_a_header() -> None:
    assert read_frame(b"content", HEADER) == (GUID, b"content")


def test_the_message_indexes_after_a_guid_come_before_the_content() -> None:
    assert read_frame(b"content", HEADER + b"\x02\x04") == (GUID, b"\x02\x04content")


@pytest.mark.parametrize("value", [b"", b"\0\0\0\0", b"{}", b"\x01\0\0\0\x01content"])
def test_other_values_have_no_frame(value: bytes) -> None:
    assert read_frame(value, None) is None


@pytest.mark.parametrize("header", [b"", HEADER[:-1], b"\x02" + GUID.bytes])
def test_a_malformed_header_is_ignored(header: bytes) -> None:
    assert read_frame(b"\0\0\0\0\x07content", header) == (7, b"content")


def test_a_schema_is_named_by_its_id_or_guid() -> None:
    assert describe_key(7) == "schema id 7"
    assert describe_key(GUID) == f"schema GUID {GUID}"
