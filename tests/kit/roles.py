"""Database roles and their privileges."""

from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import TupleRow

from service.repo.schema.rights import READING, WRITING

KINDS = ("migrate", "write", "read")
COLUMNS = {
    "orders": "entry",
    "deliveries": "zip",
    "payments": "bank",
    "items": "size",
    "order_versions": "source_topic",
    "erased": "order_uid_hash",
    "schema_releases": "revision",
    "alembic_version": "version_num",
}
"""A column of each table."""
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
SEQUENCE_PRIVILEGES = ("SELECT", "USAGE", "UPDATE")
ACLS = """
    SELECT relkind::text, relname, relacl::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')
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
    """Return the role's privileges as pairs of table or sequence and privilege."""
    statement = """
        SELECT relname, privilege FROM pg_class, unnest(%(of_tables)s::text[]) privilege
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        AND has_table_privilege(%(role)s, pg_class.oid, privilege)
        UNION ALL SELECT relname, privilege FROM pg_class, unnest(%(of_sequences)s::text[]) privilege
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
        AND has_sequence_privilege(%(role)s, pg_class.oid, privilege)"""
    values = {"of_tables": [*PRIVILEGES], "of_sequences": [*SEQUENCE_PRIVILEGES], "role": logins.name(kind)}
    with psycopg.connect(logins.superuser) as connection:
        return {*connection.execute(statement, values).fetchall()}


def assert_privileges_are_exact(logins: Logins) -> None:
    version = {("alembic_version", "SELECT")}
    assert privileges(logins, "read") == READING | version
    assert privileges(logins, "write") == READING | WRITING | version
    of_tables = {(table, privilege) for table in COLUMNS for privilege in PRIVILEGES}
    of_sequences = {("orders_id_seq", privilege) for privilege in SEQUENCE_PRIVILEGES}
    assert privileges(logins, "migrate") == of_tables | of_sequences


def is_denied(dsn: str, statement: str) -> bool:
    with psycopg.connect(dsn) as connection:
        try:
            connection.execute(statement.encode())
        except InsufficientPrivilege:
            return True
        except psycopg.Error:
            return False
    return False
