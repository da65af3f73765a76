--
-- PostgreSQL database cluster dump
--

\restrict AbC

SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

--
-- Roles
--

CREATE ROLE immich;
ALTER ROLE immich WITH SUPERUSER PASSWORD 'SCRAM-SHA-256$4096:x$y:z';
COMMENT ON ROLE immich IS 'a; COPY b FROM stdin;
COPY c FROM stdin;
1
\.
-- PostgreSQL database cluster dump complete
';
\unrestrict AbC

--
-- Database "immich" dump
--

--
-- PostgreSQL database dump
--

\restrict k1

CREATE DATABASE immich WITH TEMPLATE = template0;
\unrestrict k1
\connect immich
\restrict k1

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: immich
--

CREATE FUNCTION public.f() RETURNS void
    LANGUAGE plpgsql
    AS $_x$
BEGIN
  $$inner$$;
COPY public.fake FROM stdin;
1
2
\.
\connect other
-- PostgreSQL database dump complete
END$_y$ $_$_x$;

CREATE FUNCTION public.g() RETURNS text LANGUAGE sql AS 'select $1; -- ''
COPY public.fake2 FROM stdin;
';
COMMENT ON TABLE public.asset IS E'it\'s; \\'';
COPY public.fake3 FROM stdin;
';
/* a /* nested */
COPY public.fake4 FROM stdin;
\.
*/ SELECT a$b$c, $1, 'U&x' - -1 -- to the end ' " $$ /*
;
CREATE TABLE public."a
COPY public.fake5 FROM stdin;
" (x int);
--
-- Data for Name: asset; Type: TABLE DATA; Schema: public; Owner: immich
--

COPY public.asset (id, "from stdin;", "q""(x)") FROM stdin;
1	a	\N
2	'	$$
\N	"	-- x
\\.	;	/*
COPY public.fake6 FROM stdin;	x	y
\.

COPY public.empty (id) FROM stdin;
\.

COPY public.nothing  FROM stdin;


\.

COPY "My.Schema"."Ta""ble
two" ("a)b") FROM stdin;
x
\.

COPY public.asset (id) FROM stdin;
9
\.

SELECT pg_catalog.setval('public.s', 5, true);
--
-- Name: clip_index; Type: INDEX; Schema: public; Owner: immich
--

CREATE INDEX clip_index ON public.asset (id);


--
-- PostgreSQL database dump complete
--

\unrestrict k1

--
-- Database "my db" dump
--

--
-- PostgreSQL database dump
--

\restrict k2
\unrestrict k2
\encoding SQL_ASCII
\connect -reuse-previous=on "dbname='my \'""db'"
\restrict k2

COPY public.asset (id) FROM stdin;
1
\.

--
-- PostgreSQL database dump complete
--

\unrestrict k2

--
-- PostgreSQL database cluster dump complete
--

