"""Whether the API reaches PostgreSQL, as far as the process knows without a query."""

from dataclasses import dataclass

from service.usecases.ports.stats import Notifications, PoolUsage, ReadConnections


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStatus:
    reads: ReadConnections
    notifications: Notifications

    @property
    def is_reachable(self) -> bool:
        """Notifications arrive while no client reads, and reads may succeed while none arrives."""
        return self.sends_notifications or self.reads.is_reachable

    @property
    def sends_notifications(self) -> bool:
        return self.notifications.is_verified

    @property
    def pool_usage(self) -> PoolUsage:
        return self.reads.usage
