from service.pkg.etag import ETAG_BYTES, split_etag, with_etag


def test_the_etag_and_the_body_are_split_again() -> None:
    etag, body = split_etag(with_etag(b'{"a": 1}'))
    assert bytes(body) == b'{"a": 1}'
    assert len(etag) == ETAG_BYTES
    assert etag == etag.lower()
    int(etag, 16)


def test_an_empty_body_has_an_etag() -> None:
    etag, body = split_etag(with_etag(b""))
    assert (len(etag), bytes(body)) == (ETAG_BYTES, b"")


def test_the_etag_depends_only_on_the_body() -> None:
    assert with_etag(b"a") == with_etag(b"a")
    assert split_etag(with_etag(b"a"))[0] != split_etag(with_etag(b"b"))[0]
    assert with_etag(b"a").startswith(b"27c35e6e9373877f29e562464e46497e"), "other processes must have the same"


def test_the_body_is_not_copied() -> None:
    value = with_etag(b"body")
    assert split_etag(value)[1].obj is value
