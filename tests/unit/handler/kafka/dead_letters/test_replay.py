"""How many dead letters a replay sends before it waits for their acknowledgement."""

from service.entities.dead_letter_record import DeadLetterRecord
from service.handler.kafka.dead_letters.replay import MAX_CHUNK_BYTES, take_chunk


def dead_letters(count: int, size: int) -> list[DeadLetterRecord]:
    value = bytes(size)
    return [DeadLetterRecord(0, number, -1, b"key", value, []) for number in range(count)]


def test_a_chunk_ends_at_its_number_of_dead_letters() -> None:
    found = iter(dead_letters(5, 10))
    assert [len(take_chunk(found, 2)) for _ in range(4)] == [2, 2, 1, 0]


def test_a_chunk_of_large_dead_letters_ends_at_its_bytes() -> None:
    found = iter(dead_letters(5, MAX_CHUNK_BYTES // 2))
    assert [len(take_chunk(found, 500)) for _ in range(4)] == [2, 2, 1, 0]
