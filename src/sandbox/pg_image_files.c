/* The stand-in extensions of the image, plainly named as such. vector is there in two versions, so that a database
 * whose vector is older than the image's default gets the default when it is restored from a dump: real drift. */
#include "sandbox/pg_entry.h"

#include <stddef.h>

const struct pg_image_file pg_image_files[] = {
    {"vector.control",
     "# A stand-in for pgvector, made for the sandbox: vectors are arrays, there is no distance search.\n"
     "comment = 'stand-in for pgvector: vectors as arrays'\n"
     "default_version = '0.8.1'\n"
     "relocatable = true\n"},
    {"vector--0.8.0.sql",
     "CREATE DOMAIN vector AS real[];\n"
     "CREATE FUNCTION vector_dims(vector) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE\n"
     "    AS 'SELECT pg_catalog.cardinality($1)';\n"
     "CREATE FUNCTION l2_distance(vector, vector) RETURNS double precision\n"
     "    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE\n"
     "  AS 'SELECT pg_catalog.sqrt(pg_catalog.sum((a - b) ^ 2)) FROM pg_catalog.unnest($1, $2) AS t(a, b)';\n"},
    {"vector--0.8.1--1.0.0.sql",
     "CREATE FUNCTION vector_major() RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT 1';\n"},
    {"vector--0.8.0--0.8.1.sql",
     "CREATE FUNCTION vector_norm(vector) RETURNS double precision\n"
     "    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE\n"
     "  AS 'SELECT pg_catalog.sqrt(pg_catalog.sum(a ^ 2)) FROM pg_catalog.unnest($1) AS t(a)';\n"},
    {"vchord.control",
     "# A stand-in for VectorChord, made for the sandbox: its index method is a hash index under another name.\n"
     "comment = 'stand-in for VectorChord: an index method over vectors'\n"
     "default_version = '0.4.3'\n"
     "relocatable = true\n"
     "requires = 'vector'\n"},
    {"vchord--0.4.3.sql",
     "CREATE ACCESS METHOD vchordrq TYPE INDEX HANDLER hashhandler;\n"
     "CREATE OPERATOR CLASS vector_l2_ops DEFAULT FOR TYPE anyarray USING vchordrq AS\n"
     "    OPERATOR 1 = (anyarray, anyarray), FUNCTION 1 hash_array(anyarray);\n"},
    {"vectors.control",
     "# A stand-in for pgvecto.rs, made for the sandbox.\n"
     "comment = 'stand-in for pgvecto.rs'\n"
     "default_version = '0.3.0'\n"
     "relocatable = false\n"
     "schema = vectors\n"},
    {"vectors--0.3.0.sql",
     "CREATE FUNCTION pgvectors_upgrade() RETURNS void LANGUAGE sql AS '';\n"},
    {NULL, NULL},
};
