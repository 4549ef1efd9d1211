"""Revokes privileges on a new table that only its owner needs.

roles.sql grants the consumer's role all read and write privileges on new tables (ALTER DEFAULT PRIVILEGES). The
migration that creates a table revokes those that the consumer does not need, whatever the name of its role. roles.sql
does the same for existing tables.
"""

from alembic import op


def revoke(table: str, *privileges: str) -> None:
    """Revoke privileges on `table`, created by this transaction, from every role but its owner."""
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
