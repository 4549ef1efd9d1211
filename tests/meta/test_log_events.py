"""Log events are fixed sentences. reference/logs.py also rejects fields that it cannot list."""

from reference.logs import events


def test_every_event_is_a_fixed_sentence_at_one_level() -> None:
    found = [*events()]
    assert len(found) > 20
    levels: dict[str, set[str]] = {}
    for event in found:
        levels.setdefault(event.sentence, set()).add(event.level)
    assert {sentence: each for sentence, each in levels.items() if len(each) > 1} == {}
