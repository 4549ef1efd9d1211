"""The shard of an order, which stored rows depend on."""

from collections import Counter

from service.repo.shards import SHARDS, shard_of


def test_the_shard_of_an_id_never_changes() -> None:
    assert [shard_of(uid) for uid in ("b563feb7b2b84b6test", "a", "z" * 64)] == [520, 579, 800]


def test_uids_are_spread_evenly() -> None:
    counts = Counter(shard_of(f"order-{number}") for number in range(SHARDS * 100))
    assert set(counts) == set(range(SHARDS))
    assert max(counts.values()) < 160
