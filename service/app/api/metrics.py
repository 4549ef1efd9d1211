"""Connects the metrics that are read on each scrape."""

from functools import partial
from operator import attrgetter

from service.app.api.parts import ApiParts


def connect_metrics(parts: ApiParts) -> None:
    """Read these metrics from the parts on each scrape."""
    metrics, cache, database = parts.metrics, parts.cache, parts.database
    metrics.cache.hits.set_function(lambda: cache.orders.hits)
    metrics.cache.misses.set_function(lambda: cache.orders.misses)
    metrics.cache.entries.set_function(lambda: len(cache.entries))
    metrics.cache.bytes.set_function(lambda: cache.entries.size)
    metrics.cache.warm_up_orders.set_function(lambda: cache.warm_up.orders)
    metrics.cache.warm_up_seconds.set_function(lambda: cache.warm_up.seconds or 0)
    metrics.postgresql.pool_waiting.set_function(lambda: database.status.pool_usage.waiting)
    metrics.events.clients.set_function(lambda: parts.broadcaster.clients)
    keys = parts.keys
    if keys is not None:
        metrics.api_keys.accepted.set_function(lambda: len(keys))
        metrics.api_keys.file_errors.set_function(lambda: len(keys.problems))
    metrics.dependency_up.labels("postgresql").set_function(lambda: database.status.is_reachable)
    metrics.dependency_up.labels("notifications").set_function(lambda: database.status.sends_notifications)
    for listener in database.listeners.members:
        metrics.postgresql.listener_up.labels(listener.server).set_function(
            partial(attrgetter("is_verified"), listener)
        )
