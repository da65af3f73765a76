/* What a PostgreSQL server is asked while it is being moved. Each statement can be run by hand in psql (superuser); where %s stands,
 * the value is a quoted literal. None reads row data or query text. Answers that make an inventory are one JSON value each.
 * Catalogs: https://www.postgresql.org/docs/current/catalogs.html; columns that some versions lack are read through to_jsonb. */
#include "migrate/postgres.h"
#include "migrate/postgres_collect.h"

/* Privileges as sorted text; absent ones stand for the defaults. */
#define ACL(kind, acl, owner) \
    "(SELECT string_agg(concat_ws(' ', CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END, " \
    "x.privilege_type, x.is_grantable), ', ' ORDER BY CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END, " \
    "x.privilege_type, x.is_grantable) FROM aclexplode(coalesce(" acl ", acldefault('" kind "', " owner "))) x)"
/* Not of the system and not a member of an extension. */
#define OURS(catalog, alias, ns) \
    ns " NOT IN ('pg_catalog', 'information_schema') AND " ns " NOT LIKE 'pg\\_toast%' AND " ns " NOT LIKE 'pg\\_temp%' AND " \
    "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '" catalog "'::regclass AND d.objid = " alias ".oid AND d.deptype = 'e')"
/* Tables whose rows a dump has: all but those of extensions, which have rows in it only where the extension says so. */
#define DUMPED(kind) \
    "SELECT c.oid, n.nspname, c.relname, x.cond FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace " \
    "LEFT JOIN LATERAL (SELECT e.extcondition[k.i] AS cond FROM pg_extension e, generate_subscripts(e.extconfig, 1) AS k(i) " \
    "WHERE e.extconfig[k.i] = c.oid) x ON true " \
    "WHERE c.relkind = '" kind "' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') " \
    "AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%' AND (x.cond IS NOT NULL OR NOT EXISTS (SELECT " \
    "FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')) " \
    "ORDER BY n.nspname, c.relname"

const char *const postgres_sql_databases = "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'template0' ORDER BY 1";
const char *const postgres_sql_identifier = "SELECT system_identifier::text FROM pg_control_system()";
const char *const postgres_sql_server =
    "SELECT current_setting('server_version_num')::int, current_setting('server_version'), "
    "(SELECT system_identifier::text FROM pg_control_system()), rolsuper, current_user, current_setting('data_directory'), "
    "current_setting('shared_preload_libraries'), pg_is_in_recovery(), (SELECT count(*) FROM pg_prepared_xacts), "
    "(SELECT string_agg(slot_name, ', ' ORDER BY slot_name) FROM pg_replication_slots), "
    "(SELECT sum(pg_database_size(oid))::bigint FROM pg_database), "
    "(SELECT setting::bigint * 1048576 FROM pg_settings WHERE name = 'max_wal_size'), "
    "(SELECT setting::bigint * 1024 FROM pg_settings WHERE name = 'maintenance_work_mem'), "
    "current_setting('max_parallel_maintenance_workers')::int, "
    "(SELECT rolname FROM pg_roles WHERE oid = 10) FROM pg_roles WHERE rolname = current_user";
const char *const postgres_sql_readonly =
    "SELECT coalesce((SELECT setting FROM pg_file_settings WHERE name = 'default_transaction_read_only' "
    "AND sourcefile = current_setting('data_directory') || '/postgresql.auto.conf' ORDER BY seqno DESC LIMIT 1), '')";
const char *const postgres_sql_clients =
    "SELECT pid, usename, datname, application_name, host(client_addr), state, pid = pg_backend_pid() "
    "FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender') ORDER BY pid";

const char *const postgres_sql_inventory_server =
    "SELECT json_build_object("
    "'server', (SELECT json_build_object('version', current_setting('server_version'), "
    "'number', current_setting('server_version_num')::int, 'identifier', (SELECT system_identifier::text FROM pg_control_system()), "
    "'checksums', current_setting('data_checksums'), 'preload', current_setting('shared_preload_libraries'), "
    "'password_encryption', current_setting('password_encryption'), 'timezone', current_setting('TimeZone'))), "
    "'databases', (SELECT json_object_agg(d.datname, json_build_object('owner', pg_get_userbyid(d.datdba), "
    "'encoding', pg_encoding_to_char(d.encoding), 'collate', d.datcollate, 'ctype', d.datctype, "
    "'provider', to_jsonb(d) ->> 'datlocprovider', 'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'), "
    "'collversion', to_jsonb(d) ->> 'datcollversion', 'connect', d.datallowconn, 'template', d.datistemplate, "
    "'limit', d.datconnlimit, 'tablespace', t.spcname, 'acl', " ACL("d", "d.datacl", "d.datdba") ") ORDER BY d.datname) "
    "FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace), "
    "'roles', (SELECT json_object_agg(rolname, json_build_object('super', rolsuper, 'inherit', rolinherit, 'createrole', rolcreaterole, "
    "'createdb', rolcreatedb, 'login', rolcanlogin, 'replication', rolreplication, 'bypassrls', rolbypassrls, 'limit', rolconnlimit, "
    "'until', rolvaliduntil, 'password', CASE WHEN rolpassword IS NULL THEN 'none' WHEN rolpassword LIKE 'md5%' THEN 'md5' "
    "WHEN rolpassword LIKE 'SCRAM-SHA-256%' THEN 'scram' ELSE 'other' END) ORDER BY rolname) FROM pg_authid "
    "WHERE rolname NOT LIKE 'pg\\_%'), "
    "'memberships', (SELECT coalesce(json_agg(m ORDER BY m), '[]') FROM (SELECT DISTINCT pg_get_userbyid(member) || ' in ' || "
    "pg_get_userbyid(roleid) || CASE WHEN admin_option THEN ' with admin' ELSE '' END AS m FROM pg_auth_members "
    "WHERE pg_get_userbyid(member) NOT LIKE 'pg\\_%') s), "
    "'settings', (SELECT coalesce(json_object_agg(k, v ORDER BY k), '{}') FROM (SELECT coalesce(d.datname, '*') || '/' || "
    "coalesce(pg_get_userbyid(nullif(s.setrole, 0)), '*') AS k, (SELECT json_agg(CASE WHEN split_part(c, '=', 1) LIKE '%.%' THEN "
    "split_part(c, '=', 1) || '=md5:' || md5(c) ELSE c END ORDER BY c) FROM unnest(s.setconfig) c) AS v "
    "FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase) s), "
    "'tablespaces', (SELECT coalesce(json_object_agg(spcname, json_build_object('owner', pg_get_userbyid(spcowner), "
    "'location', pg_tablespace_location(oid))), '{}') FROM pg_tablespace WHERE spcname NOT LIKE 'pg\\_%'), "
    "'slots', (SELECT coalesce(json_agg(slot_name ORDER BY slot_name), '[]') FROM pg_replication_slots), "
    "'prepared', (SELECT count(*) FROM pg_prepared_xacts), "
    "'configuration', (SELECT coalesce(json_object_agg(name, setting ORDER BY name), '{}') FROM pg_settings "
    "WHERE source = 'configuration file' AND name NOT LIKE '%.%' AND name NOT LIKE '%conninfo%' AND name NOT LIKE '%command%' "
    "AND name NOT LIKE 'ssl%' AND name <> 'default_transaction_read_only'), "
    "'hba', (SELECT coalesce(json_agg(concat_ws(' ', type, array_to_string(database, ','), array_to_string(user_name, ','), address, "
    "netmask, auth_method) ORDER BY line_number), '[]') FROM pg_hba_file_rules))";

/* Since PostgreSQL 15 */
const char *const postgres_sql_inventory_collations =
    "SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database WHERE datcollversion IS DISTINCT FROM "
    "pg_database_collation_actual_version(oid) AND datcollversion IS NOT NULL AND datallowconn";

const char *const postgres_sql_inventory_database =
    "SELECT json_build_object("
    "'extensions', (SELECT coalesce(json_object_agg(e.extname, json_build_object('version', e.extversion, 'schema', n.nspname, "
    "'default', a.default_version, 'installable', EXISTS (SELECT FROM pg_available_extension_versions v WHERE v.name = e.extname "
    "AND v.version = e.extversion)) ORDER BY e.extname), '{}') FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
    "LEFT JOIN pg_available_extensions a ON a.name = e.extname), "
    "'objects', (SELECT coalesce(json_object_agg(kind, n ORDER BY kind), '{}') FROM ("
    "SELECT CASE c.relkind WHEN 'r' THEN 'tables' WHEN 'p' THEN 'partitioned tables' WHEN 'v' THEN 'views' WHEN 'm' THEN "
    "'materialized views' WHEN 'i' THEN 'indexes' WHEN 'I' THEN 'partitioned indexes' WHEN 'S' THEN 'sequences' WHEN 'f' THEN "
    "'foreign tables' ELSE 'types' END AS kind, count(*) AS n FROM pg_class c JOIN pg_namespace ns ON ns.oid = c.relnamespace "
    "WHERE " OURS("pg_class", "c", "ns.nspname") " AND c.relkind IN ('r','p','v','m','i','I','S','f') GROUP BY 1 UNION ALL "
    "SELECT 'functions', count(*) FROM pg_proc c JOIN pg_namespace ns ON ns.oid = c.pronamespace WHERE " OURS("pg_proc", "c", "ns.nspname") " UNION ALL "
    "SELECT 'schemas', count(*) FROM pg_namespace c WHERE " OURS("pg_namespace", "c", "c.nspname") " UNION ALL "
    "SELECT 'triggers', count(*) FROM pg_trigger WHERE NOT tgisinternal UNION ALL "
    "SELECT 'constraints', count(*) FROM pg_constraint c JOIN pg_namespace ns ON ns.oid = c.connamespace WHERE "
        OURS("pg_constraint", "c", "ns.nspname") " UNION ALL "
    "SELECT 'constraints not valid', count(*) FROM pg_constraint WHERE NOT convalidated UNION ALL "
    "SELECT 'policies', count(*) FROM pg_policy UNION ALL SELECT 'event triggers', count(*) FROM pg_event_trigger UNION ALL "
    "SELECT 'publications', count(*) FROM pg_publication) s WHERE n > 0), "
    "'large_objects', json_build_object('count', (SELECT count(*) FROM pg_largeobject_metadata), "
    "'bytes', (SELECT coalesce(sum(octet_length(data)), 0) FROM pg_largeobject)), "
    "'acls', json_build_object("
    "'relations', (SELECT md5(string_agg(concat_ws(' ', ns.nspname, c.relname, pg_get_userbyid(c.relowner), "
        ACL("r", "c.relacl", "c.relowner") "), E'\\n' ORDER BY ns.nspname, c.relname)) FROM pg_class c JOIN pg_namespace ns "
    "ON ns.oid = c.relnamespace WHERE c.relkind IN ('r','p','v','m','f') AND " OURS("pg_class", "c", "ns.nspname") "), "
    "'sequences', (SELECT md5(string_agg(concat_ws(' ', ns.nspname, c.relname, pg_get_userbyid(c.relowner), "
        ACL("s", "c.relacl", "c.relowner") "), E'\\n' ORDER BY ns.nspname, c.relname)) FROM pg_class c JOIN pg_namespace ns "
    "ON ns.oid = c.relnamespace WHERE c.relkind = 'S' AND " OURS("pg_class", "c", "ns.nspname") "), "
    "'columns', (SELECT md5(string_agg(concat_ws(' ', ns.nspname, c.relname, a.attname, (SELECT string_agg(concat_ws(' ', "
    "CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END, x.privilege_type, x.is_grantable), ', ' "
    "ORDER BY x.grantee::regrole::text, x.privilege_type) FROM aclexplode(a.attacl) x)), E'\\n' ORDER BY ns.nspname, c.relname, "
    "a.attname)) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace ns ON ns.oid = c.relnamespace "
    "WHERE a.attacl IS NOT NULL AND " OURS("pg_class", "c", "ns.nspname") "), "
    "'functions', (SELECT md5(string_agg(concat_ws(' ', ns.nspname, c.proname, pg_get_function_identity_arguments(c.oid), "
    "pg_get_userbyid(c.proowner), " ACL("f", "c.proacl", "c.proowner") "), E'\\n' ORDER BY ns.nspname, c.proname, "
    "pg_get_function_identity_arguments(c.oid))) FROM pg_proc c JOIN pg_namespace ns ON ns.oid = c.pronamespace WHERE "
        OURS("pg_proc", "c", "ns.nspname") "), "
    "'schemas', (SELECT md5(string_agg(concat_ws(' ', c.nspname, pg_get_userbyid(c.nspowner), "
        ACL("n", "c.nspacl", "c.nspowner") "), E'\\n' ORDER BY c.nspname)) FROM pg_namespace c WHERE "
        OURS("pg_namespace", "c", "c.nspname") "), "
    "'defaults', (SELECT md5(string_agg(concat_ws(' ', pg_get_userbyid(defaclrole), (SELECT nspname FROM pg_namespace WHERE oid = "
    "defaclnamespace), defaclobjtype, (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(defaclacl) a)), E'\\n' "
    "ORDER BY pg_get_userbyid(defaclrole), defaclnamespace::regnamespace::text, defaclobjtype)) FROM pg_default_acl)), "
    "'comments', (SELECT count(*) FROM pg_description d WHERE d.objoid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend e WHERE "
    "e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')), "
    "'collations', (SELECT coalesce(json_agg(collname ORDER BY collname), '[]') FROM pg_collation WHERE collversion IS NOT NULL AND "
    "collversion IS DISTINCT FROM pg_collation_actual_version(oid) AND EXISTS (SELECT FROM pg_depend d WHERE "
    "d.refclassid = 'pg_collation'::regclass AND d.refobjid = pg_collation.oid)), "
    "'invalid_indexes', (SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.relname) ORDER BY 1), '[]') FROM (SELECT indexrelid "
    "FROM pg_index WHERE NOT (indisvalid AND indisready)) i JOIN pg_class c ON c.oid = i.indexrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'i'))";

/* Statements that write a statement, whose answer has a row "name, …" for each relation; NULL: there is none. */
const char *const postgres_sql_write_counts =
    "SELECT string_agg(format('SELECT %L::text, count(*) FROM ONLY %I.%I %s', format('%s.%s', nspname, relname), nspname, relname, "
    "coalesce(cond, '')), ' UNION ALL ') FROM (" DUMPED("r") ") t";
const char *const postgres_sql_write_sequences =
    "SELECT string_agg(format('SELECT %L::text, last_value, is_called FROM %I.%I', format('%s.%s', nspname, relname), nspname, "
    "relname), ' UNION ALL ') FROM (" DUMPED("S") ") t";
/* Independent of the order of rows; the session pins how values are written. Good within one major version. */
const char *const postgres_sql_write_hashes =
    "SELECT string_agg(format('SELECT %L::text, encode(sha256(convert_to(format(''%%s-%%s'', coalesce(sum(hashtextextended(t::text, 0)), "
    "0), count(*)), ''UTF8'')), ''hex'') FROM ONLY %I.%I t %s', format('%s.%s', nspname, relname), nspname, relname, "
    "coalesce(cond, '')), ' UNION ALL ') FROM (" DUMPED("r") ") t";
const char *const postgres_sql_writes =
    "SELECT coalesce(json_object_agg(format('%s.%s', schemaname, relname), n_tup_ins + n_tup_upd + n_tup_del "
    "ORDER BY schemaname, relname), '{}') FROM pg_stat_user_tables WHERE "
    "NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = relid AND d.deptype = 'e')";

/* What is kept as files, one column of lines. Values of settings that may hold passwords are left out. */
#define SHOWN "CASE WHEN name LIKE '%.%' OR name LIKE '%conninfo%' OR name LIKE '%command%' THEN '(left out)' ELSE setting END"

const char *const postgres_sql_keep_hba =
    "SELECT concat_ws(' ', type, array_to_string(database, ','), array_to_string(user_name, ','), address, netmask, auth_method, "
    "regexp_replace(array_to_string(options, ' '), '(ldapbindpasswd|radiussecrets)=\\S+', '\\1=(left out)', 'g'), '# line ' || line_number, error) FROM pg_hba_file_rules ORDER BY line_number";
const char *const postgres_sql_keep_auto =
    "SELECT format('%s = %L', name, " SHOWN ") FROM pg_file_settings WHERE sourcefile = current_setting('data_directory') || "
    "'/postgresql.auto.conf' AND name <> 'default_transaction_read_only' ORDER BY seqno";
const char *const postgres_sql_keep_settings =
    "SELECT format('%s = %L # %s', name, " SHOWN ", source) FROM pg_settings WHERE source NOT IN ('default', 'override', 'client', "
    "'session') ORDER BY name";
const char *const postgres_sql_keep_slots =
    "SELECT concat_ws(' ', slot_name, slot_type, plugin, database, CASE WHEN active THEN 'active' END) FROM pg_replication_slots ORDER BY 1";
const char *const postgres_sql_keep_certificates =
    "SELECT f FROM pg_ls_dir('.') f WHERE f ~ '\\.(crt|key|pem|crl)$' ORDER BY 1";
