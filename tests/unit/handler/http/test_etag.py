import pytest

from service.handler.http.etag import matches


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
def test_a_tag_that_is_listed_is_held(if_none_match: list[str]) -> None:
    assert matches("abc", if_none_match)


@pytest.mark.parametrize("if_none_match", [[], [""], ['"x"'], ["abc"], ['"abcd"'], ['"ABC"'], ['"*"'], ['"x, abc"']])
def test_a_tag_that_is_not_listed_is_not_held(if_none_match: list[str]) -> None:
    assert not matches("abc", if_none_match)
