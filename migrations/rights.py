"""What nobody but the owner may do to a new table.

The writer's role gets SELECT, INSERT, UPDATE and DELETE on every table that the owner makes (roles.sql). A migration takes
away what the consumer doesn't do, whatever that role is called, and roles.sql says the same of tables that are there.
"""

from alembic import op


def withhold(table: str, *privileges: str) -> None:
    """Take privileges on `table`, which this transaction has made, from whomever its owner's defaults give them to."""
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
        $$""")
