"""Imports the registry's client on demand: it needs an extra, and takes a third of a second."""

from typing import TYPE_CHECKING

from service.errors import InvalidSettings

if TYPE_CHECKING:
    from service.config import RegistrySettings
    from service.handler.kafka.registry.client import RegistryClient


def registry_client(settings: "RegistrySettings") -> "RegistryClient":
    """Return a client of the registry. Raises InvalidSettings if the extra `registry` is not installed."""
    try:
        from service.handler.kafka.registry.client import RegistryClient  # noqa: PLC0415
    except ImportError:
        raise InvalidSettings(
            "ORDERS_REGISTRY__URLS: a schema registry needs the extra `registry`: run `pip install '.[registry]'` in a "
            "checkout"
        ) from None
    return RegistryClient(settings)
