/* What PostgreSQL is asked. Each statement can be run by hand in psql; none reads query text or row data.
 * Catalogs: https://www.postgresql.org/docs/current/monitoring-stats.html, catalogs.html, view-pg-settings.html */
#ifndef FERRYMAN_SOURCE_PG_SQL_H
#define FERRYMAN_SOURCE_PG_SQL_H

#define PG_MS(expr) "(extract(epoch from " expr ") * 1000)::bigint"

/* Null for a role that is neither superuser nor in pg_read_all_settings; current_setting() would be an error. */
#define PG_PRELOAD "(SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries')"
#define PG_SQL_PRELOAD "SELECT " PG_PRELOAD

/* The last: what the server says, whatever our session set for itself, and as it is now: a migration's fence comes and goes. */
#define PG_SQL_SERVER                                                                                                        \
    "SELECT current_setting('server_version'), " PG_MS("pg_postmaster_start_time()") ", pg_is_in_recovery(), current_user, " \
    "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user), " PG_PRELOAD ", "                                         \
    "current_setting('data_checksums'), current_setting('max_connections')::int, "                                           \
    "(SELECT setting FROM pg_settings WHERE name = 'data_directory'), "                                                      \
    "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), "                                        \
    "(SELECT " PG_MS("min(xact_start)") " FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()), " \
    "(SELECT reset_val = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only')"

/* By itself: not everybody may run it. */
#define PG_SQL_IDENTIFIER "SELECT system_identifier::text FROM pg_control_system()"

#define PG_DATABASE_HEAD                                                                                                            \
    "SELECT d.datname, CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'MEMBER') "           \
    "THEN pg_database_size(d.oid) END, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, "      \
    "d.datallowconn, s.numbackends, "
#define PG_DATABASE_TAIL " FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid ORDER BY d.datname"
#define PG_SQL_DATABASES_15 PG_DATABASE_HEAD "d.datlocprovider::text, d.datcollversion, pg_database_collation_actual_version(d.oid), has_database_privilege(d.oid, 'CONNECT')" PG_DATABASE_TAIL
#define PG_SQL_DATABASES_12 PG_DATABASE_HEAD "NULL, NULL, NULL, has_database_privilege(d.oid, 'CONNECT')" PG_DATABASE_TAIL

#define PG_SQL_EXTENSIONS                                                                                  \
    "SELECT e.extname, e.extversion, a.default_version, n.nspname FROM pg_extension e "                    \
    "JOIN pg_namespace n ON n.oid = e.extnamespace LEFT JOIN pg_available_extensions a ON a.name = e.extname"

#define PG_SQL_INDEXES                                                                                                              \
    "SELECT n.nspname || '.' || c.relname, tn.nspname || '.' || t.relname, i.indisvalid, i.indisready, pg_relation_size(c.oid) "    \
    "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace "                        \
    "JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace "                                        \
    "WHERE NOT (i.indisvalid AND i.indisready)"

#define PG_SQL_SETTINGS                                                                       \
    "SELECT name, setting, unit, source, sourcefile, sourceline, pending_restart FROM pg_settings " \
    "WHERE source NOT IN ('default', 'override', 'client', 'session') OR pending_restart"

#define PG_SQL_ACTIVITY                                                                                                           \
    "SELECT pid, usename, datname, application_name, host(client_addr), state, wait_event_type || ': ' || wait_event, "           \
    PG_MS("state_change") ", " PG_MS("xact_start") ", " PG_MS("backend_start") ", pid = pg_backend_pid() "                        \
    "FROM pg_stat_activity WHERE backend_type = 'client backend'"

/* pid, database, command, relation, phase, done, total, unit */
#define PG_RELATION "CASE WHEN datname = current_database() THEN relid::regclass::text END"
#define PG_SQL_PROGRESS_12                                                                                                        \
    "SELECT pid, datname, 'VACUUM', " PG_RELATION ", phase, heap_blks_scanned, nullif(heap_blks_total, 0), 'blocks' "             \
    "FROM pg_stat_progress_vacuum UNION ALL "                                                                                     \
    "SELECT pid, datname, command, " PG_RELATION ", phase, heap_blks_scanned, nullif(heap_blks_total, 0), 'blocks' "              \
    "FROM pg_stat_progress_cluster UNION ALL "                                                                                    \
    "SELECT pid, datname, command, " PG_RELATION ", phase, "                                                                      \
    "CASE WHEN blocks_total > 0 THEN blocks_done ELSE tuples_done END, "                                                          \
    "CASE WHEN blocks_total > 0 THEN blocks_total ELSE nullif(tuples_total, 0) END, "                                             \
    "CASE WHEN blocks_total > 0 THEN 'blocks' ELSE 'tuples' END FROM pg_stat_progress_create_index"
#define PG_SQL_PROGRESS_14                                                                                                        \
    PG_SQL_PROGRESS_12 " UNION ALL "                                                                                              \
    "SELECT pid, datname, 'ANALYZE', " PG_RELATION ", phase, sample_blks_scanned, nullif(sample_blks_total, 0), 'blocks' "        \
    "FROM pg_stat_progress_analyze UNION ALL "                                                                                    \
    "SELECT pid, NULL, 'BASEBACKUP', NULL, phase, backup_streamed, nullif(backup_total, 0), 'bytes' "                             \
    "FROM pg_stat_progress_basebackup UNION ALL "                                                                                 \
    "SELECT pid, datname, command, " PG_RELATION ", NULL, bytes_processed, nullif(bytes_total, 0), 'bytes' FROM pg_stat_progress_copy"

#endif
