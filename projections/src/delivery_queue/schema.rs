//! The tables of this projection.

use crate::projection::{Schema, Table};

/// Tables of this projection.
pub(crate) const SCHEMA: Schema = Schema {
    tables_sql: "
CREATE TABLE endpoints (
    id                   BLOB PRIMARY KEY,
    ordinal              INTEGER NOT NULL, -- position of its creation
    version              INTEGER NOT NULL,
    outcomes             INTEGER NOT NULL, -- records of its stream of outcomes
    touched_at           INTEGER NOT NULL, -- position of the newest record that changed its queue, but by new deliveries
    settings             TEXT NOT NULL, -- without credentials (OB-86)
    disabled_reason      TEXT,
    disabled_at          INTEGER,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    last_delivery_at     INTEGER,
    consecutive_failures INTEGER NOT NULL,
    quick_failures       INTEGER NOT NULL,
    failing_since        INTEGER,
    last_failure_at      INTEGER,
    throttled_until      INTEGER,
    last_error           TEXT,
    deleted_at           INTEGER,
    destroyed_key        BLOB           -- what sealed its credentials
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries (
    seq              INTEGER PRIMARY KEY, -- position of the causing record, then the rank of the receiver
    id               BLOB NOT NULL,
    endpoint         BLOB NOT NULL,
    message          BLOB NOT NULL,
    event_type       TEXT NOT NULL,
    contact          BLOB,
    test             INTEGER NOT NULL,
    status           TEXT NOT NULL,
    attempts         INTEGER NOT NULL,
    next_attempt_at  INTEGER,
    last_attempt_at  INTEGER,
    response_status  INTEGER,
    response_snippet TEXT,
    last_error       TEXT,
    error_class      TEXT,
    delivered_at     INTEGER,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    requeues         INTEGER NOT NULL, -- how often it became due anew (OB-160)
    schedule_from    INTEGER NOT NULL, -- attempts made before its schedule began
    recovery         BLOB,             -- the recovery that queued it last
    replay           INTEGER NOT NULL  -- the receiver has it and a recovery sends it again (OC-93)
) STRICT;
CREATE UNIQUE INDEX deliveries_by_id ON deliveries (id);
CREATE INDEX deliveries_pending ON deliveries (endpoint, attempts, seq) WHERE status = 'pending';
CREATE INDEX deliveries_by_contact ON deliveries (contact, seq) WHERE contact IS NOT NULL;
CREATE INDEX deliveries_ended ON deliveries (endpoint, updated_at) WHERE status <> 'pending';
CREATE TABLE delivery_bodies (
    seq  INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE attempts (
    delivery         INTEGER NOT NULL, -- seq
    n                INTEGER NOT NULL,
    endpoint         BLOB NOT NULL,
    test             INTEGER NOT NULL,
    manual           INTEGER NOT NULL, -- the first one after a requeue
    secret_count     INTEGER,
    at               INTEGER NOT NULL,
    duration_ms      INTEGER NOT NULL,
    result           TEXT NOT NULL,
    response_status  INTEGER,
    response_snippet TEXT,
    error            TEXT,
    error_class      TEXT,
    PRIMARY KEY (delivery, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE dead_letters (
    seq         INTEGER PRIMARY KEY,
    id          BLOB NOT NULL, -- of the delivery
    url         TEXT NOT NULL,
    kind        TEXT NOT NULL,
    retry_count INTEGER NOT NULL,
    error       TEXT NOT NULL,
    status      TEXT NOT NULL,
    retried_at  INTEGER,
    created_at  INTEGER NOT NULL
) STRICT;
CREATE TABLE recoveries (
    id             BLOB PRIMARY KEY,
    endpoint       BLOB NOT NULL,
    status         TEXT NOT NULL,
    since          INTEGER NOT NULL,
    until          INTEGER NOT NULL,
    statuses       TEXT NOT NULL, -- JSON
    event_types    TEXT NOT NULL, -- JSON
    include_missed INTEGER NOT NULL,
    matched        INTEGER NOT NULL,
    queued         INTEGER NOT NULL,
    missed         INTEGER NOT NULL, -- of them, those that never had a delivery
    through        INTEGER NOT NULL, -- everything caused by records below is done
    log_end        INTEGER NOT NULL,
    started_at     INTEGER NOT NULL,
    ended_at       INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE withdrawn (
    contact   BLOB PRIMARY KEY, -- nothing about it is delivered any more
    erased_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE retention (
    endpoint     BLOB PRIMARY KEY,
    forgot_until INTEGER NOT NULL -- of deliveries made up to here some may be gone (OB-163)
) STRICT, WITHOUT ROWID;
CREATE TABLE delivery_counts (
    endpoint BLOB NOT NULL,
    status   TEXT NOT NULL,
    amount   INTEGER NOT NULL,
    PRIMARY KEY (endpoint, status)
) STRICT, WITHOUT ROWID;
",
    indexes_sql: "
CREATE INDEX IF NOT EXISTS deliveries_retries ON deliveries (endpoint, next_attempt_at, seq)
    WHERE status = 'pending' AND (attempts > 0 OR requeues > 0);
CREATE INDEX IF NOT EXISTS deliveries_requeued ON deliveries (endpoint)
    WHERE status = 'pending' AND requeues > 0 AND attempts = schedule_from;
CREATE INDEX IF NOT EXISTS deliveries_of_contact ON deliveries (endpoint, contact, seq)
    WHERE status = 'pending' AND contact IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_by_recovery ON deliveries (recovery, status) WHERE recovery IS NOT NULL;
CREATE INDEX IF NOT EXISTS attempts_by_time ON attempts (endpoint, at, result, duration_ms, error_class)
    WHERE test = 0;
CREATE INDEX IF NOT EXISTS deliveries_tests ON deliveries (endpoint, seq) WHERE status = 'pending' AND test = 1;
CREATE INDEX IF NOT EXISTS deliveries_by_endpoint ON deliveries (endpoint, seq);
CREATE INDEX IF NOT EXISTS deliveries_by_message ON deliveries (message);
CREATE INDEX IF NOT EXISTS dead_letters_by_time ON dead_letters (created_at, seq);
CREATE INDEX IF NOT EXISTS dead_letters_by_id ON dead_letters (id);
",
    tables: &[
        Table { name: "endpoints", key: &["id"], personal: &["settings", "last_error"] },
        Table { name: "deliveries", key: &["seq"], personal: &["response_snippet", "last_error"] },
        Table { name: "delivery_bodies", key: &["seq"], personal: &["body"] },
        Table { name: "attempts", key: &["delivery", "n"], personal: &["response_snippet", "error"] },
        Table { name: "dead_letters", key: &["seq"], personal: &["url", "error"] },
        Table { name: "recoveries", key: &["id"], personal: &[] },
        Table { name: "withdrawn", key: &["contact"], personal: &[] },
        Table { name: "retention", key: &["endpoint"], personal: &[] },
        Table { name: "delivery_counts", key: &["endpoint", "status"], personal: &[] },
    ],
};
