import tracemalloc
from gzip import compress

import pytest

from service.pkg.gunzip import GzipProblem, gunzip, is_gzip

CONTENT = bytes(range(256)) * 4
VALUE = compress(CONTENT, mtime=0)


@pytest.mark.parametrize(
    ("value", "max_bytes", "content", "problem"),
    [
        (VALUE, 1024, CONTENT, None),
        (VALUE, 1023, CONTENT[:-1], GzipProblem.TOO_LARGE),
        (VALUE, 0, b"", GzipProblem.TOO_LARGE),
        (VALUE * 2, 2048, CONTENT * 2, None),
        (VALUE * 2, 1500, (CONTENT * 2)[:1500], GzipProblem.TOO_LARGE),
        (compress(b"") * 64, 0, b"", None),
        (compress(b"") * 65, 0, b"", GzipProblem.MALFORMED),
        (VALUE + b"x", 1024, CONTENT, GzipProblem.MALFORMED),
        (VALUE[:-8], 1024, CONTENT, GzipProblem.INCOMPLETE),
        (b"\x1f\x8bmore", 1024, b"", GzipProblem.MALFORMED),
        (VALUE + VALUE[:-8] + bytes(8), 4096, CONTENT, GzipProblem.MALFORMED),
        (b"", 1024, b"", GzipProblem.MALFORMED),
    ],
    ids=range(12),
)
def test_as_much_as_fits_is_decompressed(
    value: bytes, max_bytes: int, content: bytes, problem: GzipProblem | None
) -> None:
    assert gunzip(value, max_bytes) == (content, problem)


def test_gzip_is_recognized_by_its_first_bytes() -> None:
    assert is_gzip(VALUE)
    assert not is_gzip(b"{}")


def test_a_bomb_takes_no_more_memory_than_its_limit() -> None:
    bomb = compress(bytes(2**25), mtime=0)
    tracemalloc.start()
    try:
        assert gunzip(bomb, 2**16)[1] is GzipProblem.TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
