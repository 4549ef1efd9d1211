"""The sequence of ids, and one that hands out ids again, after a restore or a failover."""

import itertools
from typing import Any

import psycopg
import pytest

from service.errors import ConcurrentChange
from service.repo.columns import ID_BLOCK
from service.repo.shards import shard_of
from service.repo.writer.ids import GREATEST_ID, NEXT_BLOCKS, SKIP_BLOCKS
from service.repo.writer.order_store import PostgresOrderStore
from service.usecases.ports.ingest import StoreCounts
from tests.kit.factories import versioned
from tests.kit.fake_sequence import FakeSequence
from tests.kit.stores import stored_order, writing


@pytest.fixture(params=["fake", "postgresql"])
def sequence(request: pytest.FixtureRequest) -> Any:
    """A cursor."""
    if request.param == "fake":
        return FakeSequence()
    admin: psycopg.Connection = request.getfixturevalue("admin")
    return admin.cursor()


def test_each_value_of_the_sequence_is_the_first_id_of_its_own_block(sequence: Any) -> None:
    """The contract of a cursor that executes the statements of Ids."""
    values = [row for count in (1, 3) for row in sequence.execute(NEXT_BLOCKS, [count])]
    assert values == [(1 + block * ID_BLOCK,) for block in range(4)]
    assert [*sequence.execute(SKIP_BLOCKS, [2])] == [(2,)]
    assert [*sequence.execute(NEXT_BLOCKS, [1])] == [(1 + 6 * ID_BLOCK,)]
    assert [*sequence.execute(GREATEST_ID, [1, 2**48])] == [(None,)]


def uids_of_shard(shard: int, count: int) -> list[str]:
    return list(itertools.islice((uid for uid in map(str, itertools.count()) if shard_of(uid) == shard), count))


def reset_sequence(admin: psycopg.Connection) -> None:
    admin.execute("ALTER SEQUENCE orders_id_seq RESTART")


def test_a_writer_takes_other_ids_after_one_that_is_in_use(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    *stored, new = uids_of_shard(7, 4)
    writer.store([versioned(1, order_uid=uid) for uid in stored])
    reset_sequence(admin)
    with writing(database) as other:
        with pytest.raises(ConcurrentChange, match="23505"):
            other.store([versioned(1, order_uid=new)])
        assert other.store([versioned(1, order_uid=new)]) == StoreCounts(new=1)


def test_a_writer_skips_all_ids_in_use_after_one_of_them(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    """After a switchover of logical replication, or if only the tables were restored."""
    first, later, new = uids_of_shard(7, 3)
    writer.store([versioned(1, order_uid=first)])
    admin.execute(f"ALTER SEQUENCE orders_id_seq RESTART {1 + 50_000 * ID_BLOCK}".encode())
    with writing(database) as other:
        other.store([versioned(1, order_uid=later)])
    reset_sequence(admin)
    with writing(database) as other:
        with pytest.raises(ConcurrentChange, match="23505"):
            other.store([versioned(1, order_uid=new)])
        other.store([versioned(1, order_uid=new)])
    ids: dict[str, int] = dict(admin.execute("SELECT order_uid, id FROM orders").fetchall())
    assert ids[later] < ids[new] < ids[later] + 2 * ID_BLOCK


def test_orders_with_the_same_id_in_different_shards_keep_their_rows(
    database: str, writer: PostgresOrderStore, admin: psycopg.Connection
) -> None:
    [first] = uids_of_shard(1, 1)
    second, third = uids_of_shard(2, 2)
    for uid in (first, third):
        writer.store([versioned(1, order_uid=uid)])
    reset_sequence(admin)
    with writing(database) as other:
        other.store([versioned(1, order_uid=second)])
    ids: dict[str, int] = dict(admin.execute("SELECT order_uid, id FROM orders").fetchall())
    assert ids[first] == ids[second] != ids[third]
    replacements = [versioned(2, order_uid=uid, entry="other") for uid in (first, third)]
    assert writer.store(replacements) == StoreCounts(replaced=2)
    assert [stored_order(admin, uid).entry for uid in (first, second, third)] == ["other", "WBIL", "other"]
