"""Guarantees of the API during failures."""

from typing import Final

from tests.faults.mutations.mutation import Mutation
from tests.faults.replace import Replacement

LISTENER: Final = "service/repo/listener/listener.py"
CACHED_ORDERS: Final = "service/usecases/cached_orders.py"
PROTOCOL: Final = "service/handler/http/fastpath/protocol.py"

MUTATIONS: Final = (
    Mutation(
        "a cached order is served without a query",
        Replacement(CACHED_ORDERS, "CachedOrders.get", "self._values.get(uid)", "None"),
        ("test_api.py::test_with_postgresql_down_hits_stay_fast_and_misses_return_503[seed-1]",),
    ),
    Mutation(
        "every read from PostgreSQL has a deadline",
        Replacement(
            "service/repo/connection.py",
            "BoundedAsyncConnection.wait",
            "self.call_timeout if timeout is None else timeout",
            "1e6",
        ),
        ("test_api.py::test_with_postgresql_slow_hits_stay_fast_and_misses_time_out[seed-1]",),
    ),
    Mutation(
        "the cache is cleared when the listener reconnects",
        Replacement(CACHED_ORDERS, "CachedOrders._clear", "self._values.clear()", ""),
        ("test_api.py::test_orders_changed_while_postgresql_is_unreachable_are_current_a_second_later[seed-1]",),
    ),
    Mutation(
        "the listener notices a half-open connection",
        Replacement(LISTENER, "Listener._connect", "connection.call_timeout = ...", "connection.call_timeout = 60"),
        ("test_api.py::test_orders_changed_while_notifications_are_lost_are_current_a_second_later[seed-1]",),
    ),
    Mutation(
        "the heartbeat comes from another connection",
        Replacement(LISTENER, "Listener._beat", "notifying.execute", "listening.execute"),
        ("test_api.py::test_behind_a_pooler_in_transaction_mode_orders_are_at_most_a_second_stale[seed-1]",),
    ),
    Mutation(
        "without notifications the cache is bypassed while PostgreSQL can be read",
        Replacement(CACHED_ORDERS, "CachedOrders.suspend", "self._use = ...", ""),
        (
            "test_api.py::test_while_only_the_listener_is_disconnected_orders_are_at_most_a_second_stale[seed-1]",
            "test_api.py::test_behind_a_pooler_in_transaction_mode_orders_are_at_most_a_second_stale[seed-1]",
        ),
    ),
    Mutation(
        "changes that a standby has not replayed are not cached",
        Replacement("service/usecases/minimum_lsn.py", "MinimumLsn.allows", "replay_lsn is None", "True"),
        ("test_api.py::test_reads_from_a_lagging_standby_are_not_cached[seed-1]",),
    ),
    Mutation(
        "`cache.max_stale` bounds staleness",
        Replacement("service/usecases/staleness.py", "Staleness.is_within_limit", "self._max_stale is None", "True"),
        ("test_api.py::test_max_stale_bounds_staleness[seed-1]",),
    ),
    Mutation(
        "the number of connections is limited",
        Replacement(
            PROTOCOL, "LimitedProtocol.connection_made", "self.connection_count > self._limits.max_connections", "False"
        ),
        ("test_api.py::test_ten_thousand_unfinished_requests_do_not_slow_other_clients[seed-1]",),
    ),
    Mutation(
        "the size of a request's headers is limited",
        Replacement(
            "service/config/settings.py",
            "HttpSettings",
            "max_header_bytes: Bytes = ...",
            "max_header_bytes: Bytes = 2**30",
        ),
        ("test_api.py::test_oversized_requests_are_rejected[seed-1-header]",),
    ),
    Mutation(
        "memory held for slow clients is limited",
        Replacement(
            "service/handler/http/fastpath/buffers.py", "BufferBudget.update", "self.size > self._max_bytes", "False"
        ),
        ("test_api.py::test_memory_is_bounded_when_clients_do_not_read_large_responses[seed-1-from-postgresql]",),
    ),
    Mutation(
        "an event stream that its client does not read is dropped",
        Replacement(
            "service/handler/http/events/event_stream.py",
            "EventStream._send_chunk",
            "asyncio.timeout(...)",
            "asyncio.timeout(None)",
        ),
        ("test_api.py::test_unread_event_streams_are_dropped_and_read_ones_receive_every_event[seed-1]",),
    ),
)
