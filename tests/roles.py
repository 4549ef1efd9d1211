"""Database roles and their privileges."""

from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import TupleRow

from service.repo.rights import READING, WRITING

KINDS = ("migrate", "write", "read")
COLUMNS = {
    "orders": "entry",
    "deliveries": "zip",
    "payments": "bank",
    "items": "size",
    "erased": "order_uid_hash",
    "schema_releases": "revision",
    "alembic_version": "version_num",
}
"""One of each table."""
ALL_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
ACLS = """
    SELECT 'table', relname, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    UNION ALL SELECT 'database', datname, datacl::text FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT 'schema', nspname, nspacl::text FROM pg_namespace WHERE nspname = 'public'
    UNION ALL SELECT 'defaults', defaclrole::regrole::text, defaclacl::text FROM pg_default_acl
    UNION ALL SELECT 'role', rolname, concat(rolcanlogin, rolsuper, rolcreaterole) FROM pg_roles
    UNION ALL SELECT 'members', roleid::regrole::text, member::regrole::text FROM pg_auth_members
    ORDER BY 1, 2, 3"""


class Logins(NamedTuple):
    """URLs of one database."""

    superuser: str
    migrate: str
    write: str
    read: str
    owner: str
    """Of nobody, before a test makes the role."""

    def name(self, kind: str) -> str:
        return str(urlsplit(getattr(self, kind)).username)


def rows(dsn: str, statement: str) -> list[TupleRow]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement.encode()).fetchall()


def rights(logins: Logins, kind: str) -> set[tuple[str, str]]:
    """Return what a role may do to which of the tables."""
    statement = """
        SELECT relname, how FROM pg_class, unnest(%s::text[]) how
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND has_table_privilege(%s, pg_class.oid, how)"""
    with psycopg.connect(logins.superuser) as connection:
        return {*connection.execute(statement, [[*ALL_RIGHTS], logins.name(kind)]).fetchall()}


def assert_rights_are_exact(logins: Logins) -> None:
    version = {("alembic_version", "SELECT")}
    assert rights(logins, "read") == READING | version
    assert rights(logins, "write") == READING | WRITING | version
    assert rights(logins, "migrate") == {(table, how) for table in COLUMNS for how in ALL_RIGHTS}


def is_denied(dsn: str, statement: str) -> bool:
    with psycopg.connect(dsn) as connection:
        try:
            connection.execute(statement.encode())
        except InsufficientPrivilege:
            return True
        except psycopg.Error:
            return False
    return False
