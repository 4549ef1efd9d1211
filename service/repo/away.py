"""Says why PostgreSQL can't be reached, in words of ours: the driver's text may hold a user, a host or a row."""

from typing import Final

import psycopg

CONNECTION_FAILED: Final = "the connection to PostgreSQL failed"
_SIGNS: Final = (
    ("Name or service not known", "to be found: its name doesn't resolve"),
    ("name resolution", "to be found: its name doesn't resolve"),
    ("No address associated", "to be found: its name doesn't resolve"),
    ("translate host name", "to be found: its name doesn't resolve"),
    ("refused", "to listen: it refuses the connection"),
    ("No such file or directory", "to listen: its socket isn't there"),
    ("timeout expired", "to answer: connecting takes too long"),
    ("starting up", "to finish its start"),
    ("shutting down", "to come back: it is shutting down"),
    ("root certificate file", "to be verified: the authority's certificate (sslrootcert) can't be read"),
    ("private key file", "to see our certificate: its key (sslkey) can't be read, or others may read it too"),
    ("certificate file", "to see our certificate: it (sslcert) can't be read"),
    ("does not match host name", "to show a certificate for the host name that we ask for"),
    ("certificate verify failed", "to show a certificate that we trust"),
    ("valid client certificate", "to take us in: it wants a certificate of ours"),
    (" alert ", "to take us in: it refuses our certificate"),
    ("does not support SSL", "to speak TLS, as sslmode wants it"),
    ("password", "to take us in: the password is wrong or missing"),
    ("SSL encryption", "to take us in: its pg_hba.conf doesn't"),
    ("no encryption", "to take us in without TLS: its pg_hba.conf doesn't"),
    ("pg_hba.conf", "to take us in: its pg_hba.conf doesn't"),
    ("invalid response", "to answer: at its address is something else"),
    ("not permitted to log in", "to take us in: its role has no LOGIN"),
    ("permission denied", "to let our role in or do this: see roles.sql"),
    ("too many clients", "to have a connection to spare"),
    ("does not exist", "to have the database and the role that the DSN names"),
)


def what_is_missing(error: psycopg.Error) -> str:
    """Return the end of the sentence "waiting for PostgreSQL ..." for an error without SQLSTATE."""
    return _known(error) or "to accept connections"


def what_failed(error: psycopg.Error) -> str:
    """Return a sentence for an error without SQLSTATE, with what is missing where that can be told."""
    words = _known(error)
    return f"{CONNECTION_FAILED}: it has yet {words}" if words else CONNECTION_FAILED


def _known(error: psycopg.Error) -> str | None:
    message = str(error)
    return next((words for sign, words in _SIGNS if sign in message), None)
