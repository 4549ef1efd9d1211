"""Says why PostgreSQL can't be reached, in words of ours: the driver's text may hold a user, a host or a row."""

from typing import Final

import psycopg

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
    ("password", "to take us in: the password is wrong or missing"),
    ("pg_hba.conf", "to take us in: its pg_hba.conf doesn't"),
    ("invalid response", "to answer: at its address is something else"),
    ("SSL", "to speak TLS as sslmode wants it"),
    ("certificate", "to show a certificate that we trust"),
    ("not permitted to log in", "to take us in: its role has no LOGIN"),
    ("permission denied", "to let our role in or do this: see roles.sql"),
    ("too many clients", "to have a connection to spare"),
    ("does not exist", "to have the database and the role that the DSN names"),
)


def what_is_missing(error: psycopg.Error) -> str:
    """Return the end of the sentence "waiting for PostgreSQL ..." for an error without SQLSTATE."""
    message = str(error)
    return next((words for sign, words in _SIGNS if sign in message), "to accept connections")
