"""uvicorn's protocol, which ignores Upgrade (RFC 9110, section 7.8) and reads the body of such a request."""

import httptools

from service.handler.http.fastpath.uvicorn_protocol import UvicornProtocol


class UpgradeIgnoringProtocol(UvicornProtocol):
    """Parses a head with Upgrade a second time, without this header: httptools takes what follows for another protocol.

    Java's HttpClient sends Upgrade: h2c with the first request of each connection without TLS.
    """

    def feed_parser(self, data: bytes) -> None:
        """Parse. Raises httptools.HttpParserError, or httptools.HttpParserUpgrade for CONNECT."""
        while data:
            try:
                super().feed_parser(data)
            except httptools.HttpParserUpgrade as upgrade:
                if not self.is_upgrade_offered():
                    raise
                data = self.head_without(b"upgrade") + data[upgrade.args[0] :]
                self.replace_parser()
            else:
                break

    def on_headers_complete(self) -> None:
        if not self.is_upgrade_offered():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.is_upgrade_offered():
            super().on_message_complete()
