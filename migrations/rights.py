"""Takes from a new table what nobody but its owner needs to do to it.

The consumer's role may read and write whatever table the owner makes (ALTER DEFAULT PRIVILEGES in roles.sql). What it
doesn't do to one the migration withholds, whatever that role is called; of tables that are there roles.sql says it.
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
