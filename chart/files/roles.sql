-- Creates the PostgreSQL roles of Orders and grants each the minimum privileges (table in docs/operations.md).
--
--   psql --dbname orders --file roles.sql
--
-- orders        `orders migrate` and administration: owns the tables
-- orders_write  `orders consumer`: reads and stores orders; cannot delete orders or change tables
-- orders_read   `orders api`: reads orders; LISTEN needs no privilege
--
-- Run it in the database of Orders, as a superuser or, with PostgreSQL 15 or later, as the database's owner with CREATEROLE.
-- It can be repeated at any time, before or after migrations. It is a single SQL statement, so any client can run it, and it is
-- atomic. To use other role names, set one or more of these parameters first:
--
--   psql --dbname shop --command "SET orders.migrate_role = 'shop'" --command "SET orders.write_role = 'shop_write'" \
--     --command "SET orders.read_role = 'shop_read'" --file roles.sql
--
-- Existing roles keep their passwords. New roles have no password, and cannot log in with one until you set it
-- (`\password orders_read`). No other roles except superusers may connect to the database afterwards, unless you grant it, for
-- example with GRANT CONNECT ON DATABASE orders TO backup.
DO $$
DECLARE
  migrate_role name := coalesce(nullif(current_setting('orders.migrate_role', true), ''), 'orders');
  write_role name := coalesce(nullif(current_setting('orders.write_role', true), ''), 'orders_write');
  read_role name := coalesce(nullif(current_setting('orders.read_role', true), ''), 'orders_read');
  database name := current_database();
  role name;
  managed record;
BEGIN
  IF migrate_role IN (write_role, read_role) OR write_role = read_role THEN
    RAISE EXCEPTION 'the three roles must be different: %, %, %', migrate_role, write_role, read_role;
  END IF;
  FOREACH role IN ARRAY ARRAY[migrate_role, write_role, read_role] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      EXECUTE format('CREATE ROLE %I LOGIN', role);
    END IF;
  END LOOP;
  IF NOT pg_has_role(migrate_role, 'USAGE') THEN
    EXECUTE format('GRANT %I TO CURRENT_USER', migrate_role); -- only members of the owner can grant privileges on its tables
  END IF;

  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I, %I', database, write_role, read_role);
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I, %I, %I', database, migrate_role, write_role, read_role);
  EXECUTE format('REVOKE ALL ON SCHEMA public FROM %I, %I', write_role, read_role);
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
  EXECUTE format('GRANT USAGE ON SCHEMA public TO %I, %I, %I', migrate_role, write_role, read_role);
  EXECUTE format('GRANT CREATE ON SCHEMA public TO %I', migrate_role);
  IF current_setting('is_superuser')::boolean THEN -- otherwise read_role can create large objects; only a superuser can revoke it
    REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
  END IF;

  -- Future tables and sequences. The migration that creates a table revokes privileges that write_role does not need (migrations/rights.py).
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public REVOKE ALL ON TABLES FROM %I, %I',
    migrate_role, write_role, read_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I',
    migrate_role, write_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public GRANT SELECT ON TABLES TO %I',
    migrate_role, read_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public REVOKE ALL ON SEQUENCES FROM %I, %I',
    migrate_role, write_role, read_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public GRANT USAGE ON SEQUENCES TO %I',
    migrate_role, write_role);

  -- Existing tables. Both roles may read all of them; write_role may write only the tables in this list.
  FOR managed IN
    SELECT existing.oid::regclass AS name, pg_get_userbyid(existing.relowner) AS owner, writable.privileges
    FROM pg_class AS existing LEFT JOIN (VALUES
      ('orders', 'INSERT, UPDATE'),
      ('deliveries', 'INSERT, DELETE'),
      ('payments', 'INSERT, DELETE'),
      ('items', 'INSERT, DELETE'),
      ('order_versions', 'INSERT, DELETE')
    ) AS writable (name, privileges) ON writable.name = existing.relname
    WHERE existing.relnamespace = 'public'::regnamespace AND existing.relkind IN ('r', 'p')
      AND (existing.relowner = (SELECT oid FROM pg_roles WHERE rolname = migrate_role) OR writable.privileges IS NOT NULL)
  LOOP
    IF managed.owner <> migrate_role THEN
      RAISE EXCEPTION 'table % is owned by %, not by %', managed.name, managed.owner, migrate_role USING
        HINT = format('REASSIGN OWNED BY %I TO %I, or SET orders.migrate_role = %L', managed.owner, migrate_role, managed.owner);
    END IF;
    EXECUTE format('REVOKE ALL ON %s FROM %I, %I', managed.name, write_role, read_role);
    EXECUTE format('GRANT SELECT ON %s TO %I, %I', managed.name, write_role, read_role);
    IF managed.privileges IS NOT NULL THEN
      EXECUTE format('GRANT %s ON %s TO %I', managed.privileges, managed.name, write_role);
    END IF;
  END LOOP;
  IF to_regclass('public.orders_id_seq') IS NOT NULL THEN
    EXECUTE format('REVOKE ALL ON SEQUENCE public.orders_id_seq FROM %I, %I', write_role, read_role);
    EXECUTE format('GRANT USAGE ON SEQUENCE public.orders_id_seq TO %I', write_role);
  END IF;

  -- The API sets these itself on a direct connection. Behind a pooler, they must be settings of its role.
  EXECUTE format('ALTER ROLE %I IN DATABASE %I SET enable_seqscan = off', read_role, database);
  EXECUTE format('ALTER ROLE %I IN DATABASE %I SET jit = off', read_role, database);
  EXECUTE format('ALTER ROLE %I IN DATABASE %I SET row_security = off', read_role, database);
END
$$;
