"""Stand-ins of the functions and catalogs of Citus that `orders distribute` and `orders erase` use.

They follow the documentation and the source of Citus 13: arguments, columns, and the errors of a wrong order, of a
second call and of a missing colocation. They distribute nothing: rows stay where they are.
"""

import psycopg
from psycopg.sql import SQL, Identifier, Literal

SHARD_COUNT_SETTING = "ALTER DATABASE {} SET citus.shard_count = 32"
"""A server that has loaded Citus knows this setting. Applies to new connections."""

CATALOGS = """
CREATE TABLE pg_dist_local_group (groupid int NOT NULL);
INSERT INTO pg_dist_local_group VALUES (0);
CREATE TABLE pg_dist_partition (
  logicalrelid regclass PRIMARY KEY, partmethod "char" NOT NULL, partkey text,
  colocationid int NOT NULL DEFAULT 0, repmodel "char" NOT NULL DEFAULT 'c', autoconverted bool NOT NULL DEFAULT false
);
CREATE SEQUENCE colocation_ids;
GRANT SELECT ON pg_dist_local_group, pg_dist_partition TO PUBLIC;
CREATE FUNCTION column_to_column_name(table_name regclass, column_var_text text) RETURNS text
LANGUAGE sql AS 'SELECT column_var_text';
"""
"""In Citus, `partkey` is a serialized expression. This function returns the name of its column."""

FUNCTIONS = """
CREATE FUNCTION ensure_citus_table_can_be_created(table_name regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT groupid FROM pg_dist_local_group) <> 0 THEN
    RAISE 'operation is not allowed on this node' USING HINT = 'Connect to the coordinator and run it again.';
  ELSIF NOT (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = table_name) THEN
    RAISE 'must be owner of table %', table_name USING ERRCODE = 'insufficient_privilege';
  ELSIF EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = table_name) THEN
    RAISE 'table "%" is already distributed', table_name USING ERRCODE = 'invalid_table_definition';
  ELSIF EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = table_name AND NOT tgisinternal) THEN
    RAISE 'cannot distribute relation "%" because it has triggers', table_name
      USING ERRCODE = 'feature_not_supported';
  END IF;
END $$;

CREATE FUNCTION create_distributed_table(
  table_name regclass, distribution_column text, distribution_type text DEFAULT 'hash',
  colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  referenced regclass;
  colocation int;
BEGIN
  IF shard_count IS NOT NULL AND colocate_with NOT IN ('default', 'none') THEN
    RAISE 'Cannot use colocate_with with a table and shard_count at the same time';
  END IF;
  PERFORM ensure_citus_table_can_be_created(table_name);
  FOR referenced IN SELECT confrelid FROM pg_constraint WHERE contype = 'f' AND conrelid = table_name LOOP
    IF NOT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = referenced) THEN
      RAISE 'referenced table "%" must be a distributed table or a reference table', referenced
        USING ERRCODE = 'invalid_table_definition';
    END IF;
  END LOOP;
  IF EXISTS (
    SELECT 1 FROM pg_index WHERE indrelid = table_name AND indisunique AND NOT (
      SELECT attnum FROM pg_attribute WHERE attrelid = table_name AND attname = distribution_column
    ) = ANY (indkey)
  ) THEN
    RAISE 'cannot create constraint on "%"', table_name USING ERRCODE = 'feature_not_supported';
  END IF;
  IF colocate_with IN ('default', 'none') THEN
    colocation := nextval('colocation_ids');
  ELSE
    SELECT colocationid INTO STRICT colocation FROM pg_dist_partition WHERE logicalrelid = colocate_with::regclass;
  END IF;
  INSERT INTO pg_dist_partition VALUES (table_name, 'h', distribution_column, colocation, 's');
END $$;

CREATE FUNCTION create_reference_table(table_name regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ensure_citus_table_can_be_created(table_name);
  INSERT INTO pg_dist_partition VALUES (table_name, 'n', NULL, nextval('colocation_ids'), 't');
END $$;
"""

RUN_COMMAND = """
CREATE OR REPLACE FUNCTION run_command_on_all_nodes(
  command text, parallel bool DEFAULT true, give_warning_for_connection_errors bool DEFAULT false,
  OUT nodeid int, OUT success bool, OUT result text
) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE command INTO result;
  RETURN QUERY VALUES (1, true, result), (2, {is_second_reachable}, {second_result});
END $$
"""
"""The real one executes the command on each node, in a transaction of its own."""


def pretend_preloaded(admin: psycopg.Connection) -> None:
    admin.execute(SQL(SHARD_COUNT_SETTING).format(Identifier(admin.info.dbname)))


def create_extension(admin: psycopg.Connection) -> None:
    admin.execute(CATALOGS.encode())
    admin.execute(FUNCTIONS.encode())
    create_run_command(admin, is_second_reachable=True)


def create_run_command(admin: psycopg.Connection, *, is_second_reachable: bool, second_result: str = "0") -> None:
    """Create the function, or replace it. The second node always returns `second_result`."""
    values = {"is_second_reachable": Literal(is_second_reachable), "second_result": Literal(second_result)}
    admin.execute(SQL(RUN_COMMAND).format(**values))
