--
-- PostgreSQL database cluster dump
--

\restrict xTDmWp7FB8awCxbJovF5Ju6yhsaLWCbpBBs3L76Zo7bZ7uum4aaeMP5fviLbMVu

SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

--
-- Roles
--

CREATE ROLE app;
ALTER ROLE app WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;
CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;

--
-- User Configurations
--








\unrestrict xTDmWp7FB8awCxbJovF5Ju6yhsaLWCbpBBs3L76Zo7bZ7uum4aaeMP5fviLbMVu

--
-- Databases
--

--
-- Database "template1" dump
--

\connect template1

--
-- PostgreSQL database dump
--

\restrict E5Kh3ITKIWegCxWDJJ42jdO6OkSkAgrAoCabn0AVHLqPIgkJACcCG0nUaGjKbIE

-- Dumped from database version 15.20 (Debian 15.20-0+deb12u1)
-- Dumped by pg_dump version 15.20 (Debian 15.20-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- PostgreSQL database dump complete
--

\unrestrict E5Kh3ITKIWegCxWDJJ42jdO6OkSkAgrAoCabn0AVHLqPIgkJACcCG0nUaGjKbIE

--
-- Database "immich" dump
--

--
-- PostgreSQL database dump
--

\restrict KavtLXV0sIffVr8P5jmVHTWRQpQgOA1Q6aLwUJTMQy95uFVMyWjtCEhcPwYAIZG

-- Dumped from database version 15.20 (Debian 15.20-0+deb12u1)
-- Dumped by pg_dump version 15.20 (Debian 15.20-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: immich; Type: DATABASE; Schema: -; Owner: postgres
--

CREATE DATABASE immich WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C.UTF-8';


ALTER DATABASE immich OWNER TO postgres;

\unrestrict KavtLXV0sIffVr8P5jmVHTWRQpQgOA1Q6aLwUJTMQy95uFVMyWjtCEhcPwYAIZG
\connect immich
\restrict KavtLXV0sIffVr8P5jmVHTWRQpQgOA1Q6aLwUJTMQy95uFVMyWjtCEhcPwYAIZG

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.f() RETURNS void
    LANGUAGE sql
    AS $$ select 1; $$;


ALTER FUNCTION public.f() OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: asset; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.asset (
    id integer NOT NULL,
    t text
);


ALTER TABLE public.asset OWNER TO postgres;

--
-- Data for Name: asset; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.asset (id, t) FROM stdin;
1	x1
2	x2
3	x3
4	x4
5	x5
6	x6
7	x7
8	x8
9	x9
10	x10
\.


--
-- Name: asset asset_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.asset
    ADD CONSTRAINT asset_pkey PRIMARY KEY (id);


--
-- PostgreSQL database dump complete
--

\unrestrict KavtLXV0sIffVr8P5jmVHTWRQpQgOA1Q6aLwUJTMQy95uFVMyWjtCEhcPwYAIZG

--
-- Database "my db" dump
--

--
-- PostgreSQL database dump
--

\restrict hrxo0hPdgC65OD66A1B7RfMN29xh4WWjKY2xnKfxAFGKGzIhOwDoBpbysnG0p8r

-- Dumped from database version 15.20 (Debian 15.20-0+deb12u1)
-- Dumped by pg_dump version 15.20 (Debian 15.20-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: my db; Type: DATABASE; Schema: -; Owner: postgres
--

CREATE DATABASE "my db" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C.UTF-8';


ALTER DATABASE "my db" OWNER TO postgres;

\unrestrict hrxo0hPdgC65OD66A1B7RfMN29xh4WWjKY2xnKfxAFGKGzIhOwDoBpbysnG0p8r
\encoding SQL_ASCII
\connect -reuse-previous=on "dbname='my db'"
\restrict hrxo0hPdgC65OD66A1B7RfMN29xh4WWjKY2xnKfxAFGKGzIhOwDoBpbysnG0p8r

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- PostgreSQL database dump complete
--

\unrestrict hrxo0hPdgC65OD66A1B7RfMN29xh4WWjKY2xnKfxAFGKGzIhOwDoBpbysnG0p8r

--
-- Database "postgres" dump
--

\connect postgres

--
-- PostgreSQL database dump
--

\restrict E6zdl1M5XwZAFFCNd3y9dYNumaHSo9CFaKFZ7Bjn7fGjOQMXQseGsDE7Bli20aI

-- Dumped from database version 15.20 (Debian 15.20-0+deb12u1)
-- Dumped by pg_dump version 15.20 (Debian 15.20-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- PostgreSQL database dump complete
--

\unrestrict E6zdl1M5XwZAFFCNd3y9dYNumaHSo9CFaKFZ7Bjn7fGjOQMXQseGsDE7Bli20aI

--
-- PostgreSQL database cluster dump complete
--

