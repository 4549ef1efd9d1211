import pytest

from service.handler.http.responses.if_none_match import matches


@pytest.mark.parametrize(
    "if_none_match",
    [
        ['"abc"'],
        ['W/"abc"'],
        ["*"],
        [" * "],
        ['"x", "abc"'],
        ['"x","abc","y"'],
        ['W/"x", W/"abc"'],
        ['"x"', '"abc"'],
        ['"a,b", "abc"'],
    ],
)
def test_a_listed_tag_matches(if_none_match: list[str]) -> None:
    assert matches("abc", if_none_match)


@pytest.mark.parametrize("if_none_match", [[], [""], ['"x"'], ["abc"], ['"abcd"'], ['"ABC"'], ['"*"'], ['"x, abc"']])
def test_any_other_tag_does_not_match(if_none_match: list[str]) -> None:
    assert not matches("abc", if_none_match)
