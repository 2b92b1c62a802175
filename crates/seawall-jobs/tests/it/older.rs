//! Stores as earlier versions made them: the tables, word for word, and two jobs in them.

/// Version 1 in SQLite.
pub(crate) const SQLITE_1: &str = "
    create table jobs (
        id integer primary key autoincrement, queue text not null, kind text not null,
        unique_key text, state text not null, wish text not null default 'go',
        priority integer not null, run_at_ms integer not null,
        attempts integer not null default 0, attempts_max integer not null,
        lease_until_ms integer, token integer not null default 0, worker text,
        payload text not null, progress text, result text, error text,
        created_ms integer not null, changed_ms integer not null
    ) strict;
    create table happened (
        id integer primary key autoincrement,
        job integer not null references jobs (id) on delete cascade,
        at_ms integer not null, what text not null, detail text not null
    ) strict;
    pragma user_version = 1;
";

/// Version 1 in PostgreSQL.
pub(crate) const POSTGRES_1: &str = "
    create schema seawall;
    set search_path = seawall;
    create table version (version bigint not null);
    insert into version values (1);
    create table jobs (
        id bigint generated always as identity primary key, queue text not null,
        kind text not null, unique_key text, state text not null,
        wish text not null default 'go', priority bigint not null, run_at_ms bigint not null,
        attempts bigint not null default 0, attempts_max bigint not null,
        lease_until_ms bigint, token bigint not null default 0, worker text,
        payload text not null, progress text, result text, error text,
        created_ms bigint not null, changed_ms bigint not null
    );
    create table happened (
        id bigint generated always as identity primary key,
        job bigint not null references jobs (id) on delete cascade,
        at_ms bigint not null, what text not null, detail text not null
    );
";

/// What both had besides.
pub(crate) const INDEXES_1: &str = "
    create index jobs_ready on jobs (queue, priority desc, run_at_ms, id) where state = 'ready';
    create index jobs_running on jobs (lease_until_ms) where state = 'running';
    create index jobs_ended on jobs (changed_ms) where state in ('done', 'failed', 'cancelled');
    create unique index jobs_unique on jobs (unique_key)
        where unique_key is not null and state in ('ready', 'running', 'paused');
    create index happened_of on happened (job, id);
    insert into jobs (queue, kind, state, priority, run_at_ms, attempts_max, payload, created_ms,
        changed_ms) values ('files', 'import', 'ready', 0, 1, 5, 'old', 1, 1),
        ('files', 'import', 'done', 0, 1, 5, 'older', 1, 1);
    insert into happened (job, at_ms, what, detail) values (1, 1, 'inserted', '');
";
