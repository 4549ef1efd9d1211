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
"""A column of each table."""
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
ACLS = """
    SELECT 'table', relname, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    UNION ALL SELECT 'database', datname, datacl::text FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT 'schema', nspname, nspacl::text FROM pg_namespace WHERE nspname = 'public'
    UNION ALL SELECT 'defaults', defaclrole::regrole::text, defaclacl::text FROM pg_default_acl
    UNION ALL SELECT 'role', rolname, concat(rolcanlogin, rolsuper, rolcreaterole) FROM pg_roles
    UNION ALL SELECT 'members', roleid::regrole::text, member::regrole::text FROM pg_auth_members
    ORDER BY 1, 2, 3"""


class Logins(NamedTuple):
    """URLs of one database, by role."""

    superuser: str
    migrate: str
    write: str
    read: str
    owner: str
    """A role that only some tests create."""

    def name(self, kind: str) -> str:
        return str(urlsplit(getattr(self, kind)).username)


def rows(dsn: str, statement: str) -> list[TupleRow]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement.encode()).fetchall()


def privileges(logins: Logins, kind: str) -> set[tuple[str, str]]:
    """Return the role's privileges as pairs of table and privilege."""
    statement = """
        SELECT relname, privilege FROM pg_class, unnest(%s::text[]) privilege
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        AND has_table_privilege(%s, pg_class.oid, privilege)"""
    with psycopg.connect(logins.superuser) as connection:
        return {*connection.execute(statement, [[*PRIVILEGES], logins.name(kind)]).fetchall()}


def assert_privileges_are_exact(logins: Logins) -> None:
    version = {("alembic_version", "SELECT")}
    assert privileges(logins, "read") == READING | version
    assert privileges(logins, "write") == READING | WRITING | version
    assert privileges(logins, "migrate") == {(table, privilege) for table in COLUMNS for privilege in PRIVILEGES}


def is_denied(dsn: str, statement: str) -> bool:
    with psycopg.connect(dsn) as connection:
        try:
            connection.execute(statement.encode())
        except InsufficientPrivilege:
            return True
        except psycopg.Error:
            return False
    return False
