"""All settings: environment variables `ORDERS_<GROUP>__<NAME>`, or files with those names in `ORDERS_SECRETS_DIR`.

Variables take precedence over files. Unknown names and unsafe values are rejected.
"""

from service.config.loading import load
from service.config.settings import (
    CacheSettings,
    CircuitBreakerSettings,
    DocumentSettings,
    HttpSettings,
    KafkaSettings,
    MigrationSettings,
    PostgresSettings,
    RegistrySettings,
    Settings,
    SettingsGroup,
)

__all__ = [
    "CacheSettings",
    "CircuitBreakerSettings",
    "DocumentSettings",
    "HttpSettings",
    "KafkaSettings",
    "MigrationSettings",
    "PostgresSettings",
    "RegistrySettings",
    "Settings",
    "SettingsGroup",
    "load",
]
