"""What depends on lookups and notifications is tested in test_lookup.py."""

from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.cached_orders import CachedOrders
from service.usecases.staleness import Staleness


def test_a_cache_is_bypassed_until_notifications_arrive() -> None:
    cached = CachedOrders(Lru(10, 2**20), TTLSet(10, 2), Staleness())
    cached.fill("uid", b"before")
    assert (cached.get("uid"), cached.is_absent("unknown")) == (None, False)
    cached.invalidate_all(0)
    cached.fill("uid", b"after")
    assert cached.get("uid") == b"after"
