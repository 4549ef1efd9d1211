"""Withholds rights on a new table that only its owner needs.

roles.sql gives the consumer's role every right to read and write on each table that the owner creates (ALTER DEFAULT
PRIVILEGES). The migration that creates a table takes back what the consumer does not do to it, whatever that role is
called. For tables that exist already roles.sql says the same.
"""

from alembic import op


def withhold(table: str, *privileges: str) -> None:
    """Take privileges on `table`, which this transaction has made, from everybody but its owner."""
    op.execute(f"""
        DO $$
        DECLARE
          other regrole;
        BEGIN
          FOR other IN
            SELECT DISTINCT entry.grantee::regrole FROM pg_class, aclexplode(relacl) AS entry
            WHERE pg_class.oid = '{table}'::regclass AND entry.grantee NOT IN (0, relowner)
          LOOP
            EXECUTE format('REVOKE {", ".join(privileges)} ON {table} FROM %s', other);
          END LOOP;
        END
        $$""")  # noqa: S608 - names of our own tables
