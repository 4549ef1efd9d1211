-- PostgreSQL roles for Orders, each with what its part needs and no more. docs/architecture.md has the table of them.
--
--   psql --dbname orders --file roles.sql
--
-- orders        `orders migrate`: owns the tables, makes and changes them; also for what is done by hand
-- orders_write  `orders consumer`: reads and stores, deletes no order, changes no table
-- orders_read   `orders api`: reads; LISTEN and NOTIFY need no privilege
--
-- Run it in the database of Orders, as a superuser or, from PostgreSQL 15 on, as the database's owner with CREATEROLE; before
-- the first migration or after any, as often as you like. It is one statement of plain SQL: any client can run it, and all of
-- it happens or nothing. Other names go before it, each optional:
--
--   psql --dbname shop --command "SET orders.migrate_role = 'shop'" --command "SET orders.write_role = 'shop_write'" \
--     --command "SET orders.read_role = 'shop_read'" --file roles.sql
--
-- A role that is there is kept with its password; one that is made has none and can't log in by password until it gets one
-- (`\password orders_read`). The database is for Orders alone: nobody else may connect, but for superusers and for whom you
-- grant it to, such as GRANT CONNECT ON DATABASE orders TO backup.
DO $$
DECLARE
  migrate_role name := coalesce(nullif(current_setting('orders.migrate_role', true), ''), 'orders');
  write_role name := coalesce(nullif(current_setting('orders.write_role', true), ''), 'orders_write');
  read_role name := coalesce(nullif(current_setting('orders.read_role', true), ''), 'orders_read');
  database name := current_database();
  role name;
  ours record;
BEGIN
  IF migrate_role IN (write_role, read_role) OR write_role = read_role THEN
    RAISE EXCEPTION 'these are to be three roles: %, %, %', migrate_role, write_role, read_role;
  END IF;
  FOREACH role IN ARRAY ARRAY[migrate_role, write_role, read_role] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      EXECUTE format('CREATE ROLE %I LOGIN', role);
    END IF;
  END LOOP;
  IF NOT pg_has_role(migrate_role, 'USAGE') THEN
    EXECUTE format('GRANT %I TO CURRENT_USER', migrate_role); -- what it owns, only its members can grant
  END IF;

  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I, %I', database, write_role, read_role);
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I, %I, %I', database, migrate_role, write_role, read_role);
  EXECUTE format('REVOKE ALL ON SCHEMA public FROM %I, %I', write_role, read_role);
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
  EXECUTE format('GRANT USAGE ON SCHEMA public TO %I, %I, %I', migrate_role, write_role, read_role);
  EXECUTE format('GRANT CREATE ON SCHEMA public TO %I', migrate_role);
  IF current_setting('is_superuser')::boolean THEN -- large objects would be a way to write; only superusers can close it
    REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
  END IF;

  -- Tables that later migrations make. What the writer doesn't need of one, its migration takes away (migrations/rights.py).
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public REVOKE ALL ON TABLES FROM %I, %I',
    migrate_role, write_role, read_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I',
    migrate_role, write_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public GRANT SELECT ON TABLES TO %I',
    migrate_role, read_role);

  -- Tables that are there. Those without a line here are read by both and written by neither.
  FOR ours IN
    SELECT found.oid::regclass AS name, pg_get_userbyid(found.relowner) AS owner, written.how
    FROM pg_class AS found LEFT JOIN (VALUES
      ('orders', 'INSERT, UPDATE'), -- UPDATE is also what FOR UPDATE needs
      ('deliveries', 'INSERT, DELETE'),
      ('payments', 'INSERT, DELETE'),
      ('items', 'INSERT, DELETE')
    ) AS written (name, how) ON written.name = found.relname
    WHERE found.relnamespace = 'public'::regnamespace AND found.relkind IN ('r', 'p')
      AND (found.relowner = (SELECT oid FROM pg_roles WHERE rolname = migrate_role) OR written.how IS NOT NULL)
  LOOP
    IF ours.owner <> migrate_role THEN
      RAISE EXCEPTION 'table % belongs to %, not to %', ours.name, ours.owner, migrate_role USING
        HINT = format('REASSIGN OWNED BY %I TO %I, or SET orders.migrate_role = %L', ours.owner, migrate_role, ours.owner);
    END IF;
    EXECUTE format('REVOKE ALL ON %s FROM %I, %I', ours.name, write_role, read_role);
    EXECUTE format('GRANT SELECT ON %s TO %I, %I', ours.name, write_role, read_role);
    IF ours.how IS NOT NULL THEN
      EXECUTE format('GRANT %s ON %s TO %I', ours.how, ours.name, write_role);
    END IF;
  END LOOP;
END
$$;
