/**
 * The first shape of both databases. Never edited: a change is a migration of the next number.
 *
 * Digests and ids are text in `log.sqlite` (rows are few and people read them); in `content.sqlite` they are raw bytes,
 * and projects and models are small integers, because there is a row for every chunk.
 */

/** `log.sqlite`: the events, the inline read models that are folded from them, and the operational state beside them. */
export const logTables = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE events (
  position INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  stream TEXT NOT NULL,
  version INTEGER NOT NULL,
  type TEXT NOT NULL,
  schema_version INTEGER NOT NULL,
  team TEXT NOT NULL,
  project TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  data TEXT NOT NULL,
  metadata TEXT NOT NULL,
  recorded_at INTEGER NOT NULL,
  hash BLOB NOT NULL
);
CREATE UNIQUE INDEX events_id ON events (id);
CREATE UNIQUE INDEX events_stream ON events (stream, version);
CREATE INDEX events_scope ON events (team, project, position);

-- Read models: folded in the transaction of the append, rebuilt from the events alone.

CREATE TABLE documents (
  document_id TEXT PRIMARY KEY,
  team TEXT NOT NULL,
  project TEXT NOT NULL,
  source_id TEXT NOT NULL,
  stream_version INTEGER NOT NULL,
  submitted_version INTEGER NOT NULL,
  submitted_position INTEGER NOT NULL,
  raw TEXT NOT NULL,
  raw_bytes INTEGER NOT NULL,
  descriptor TEXT NOT NULL,
  command_id TEXT NOT NULL,
  sync INTEGER,
  moved_from TEXT,
  open INTEGER NOT NULL,
  live_version INTEGER,
  live_position INTEGER,
  live_chunks INTEGER,
  removed TEXT,
  parked_job TEXT,
  parked_version INTEGER,
  parked_code TEXT,
  parked_reason TEXT
) WITHOUT ROWID;
CREATE INDEX documents_scope ON documents (team, project, document_id);
CREATE INDEX documents_source ON documents (source_id, document_id);
CREATE INDEX documents_open ON documents (submitted_position) WHERE open = 1;
CREATE INDEX documents_live ON documents (document_id) WHERE live_version IS NOT NULL;
CREATE INDEX documents_unfinished ON documents (team, project, document_id) WHERE open = 1;
CREATE INDEX documents_removed ON documents (team, project, document_id) WHERE removed IS NOT NULL;
CREATE INDEX documents_parked ON documents (team, project, document_id) WHERE parked_job IS NOT NULL;

CREATE TABLE versions (
  document_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  committed INTEGER NOT NULL,
  ended INTEGER,
  PRIMARY KEY (document_id, version)
) WITHOUT ROWID;

CREATE TABLE chunkings (
  document_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  chunker TEXT NOT NULL,
  position INTEGER NOT NULL,
  descriptor TEXT NOT NULL,
  text_blob TEXT NOT NULL,
  manifest_blob TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (document_id, version, chunker)
) WITHOUT ROWID;

CREATE TABLE contents (
  document_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  chunker TEXT NOT NULL,
  model TEXT NOT NULL,
  position INTEGER NOT NULL,
  descriptor TEXT NOT NULL,
  text_blob TEXT NOT NULL,
  manifest_blob TEXT NOT NULL,
  vectors_root TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (document_id, version, chunker, model, position)
) WITHOUT ROWID;

CREATE TABLE sources (
  source_id TEXT PRIMARY KEY,
  team TEXT NOT NULL,
  project TEXT NOT NULL,
  kind TEXT NOT NULL,
  settings TEXT NOT NULL,
  stream_version INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  sync INTEGER NOT NULL,
  sync_state TEXT NOT NULL,
  counts TEXT,
  failure TEXT,
  held_sync INTEGER,
  held_count INTEGER,
  held_documents TEXT
) WITHOUT ROWID;

CREATE TABLE jobs (
  job_id TEXT PRIMARY KEY,
  lane TEXT NOT NULL,
  build INTEGER NOT NULL,
  team TEXT NOT NULL,
  project TEXT NOT NULL,
  document_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  queued_position INTEGER NOT NULL,
  queued_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX jobs_document ON jobs (document_id, version);
CREATE INDEX jobs_queue ON jobs (lane, state, queued_position);
CREATE INDEX jobs_state ON jobs (state, job_id);
CREATE INDEX jobs_scope ON jobs (team, project, job_id);

CREATE TABLE generations (
  generation TEXT PRIMARY KEY,
  spec TEXT NOT NULL,
  reason TEXT NOT NULL,
  state TEXT NOT NULL,
  opened_position INTEGER NOT NULL,
  promoted_position INTEGER,
  ended_position INTEGER,
  verified_position INTEGER,
  fingerprint TEXT,
  excluded TEXT NOT NULL
) WITHOUT ROWID;

-- Counts that follow their tables, so that a status never scans them.

CREATE TABLE job_tally (
  team TEXT NOT NULL,
  project TEXT NOT NULL,
  lane TEXT NOT NULL,
  state TEXT NOT NULL,
  jobs INTEGER NOT NULL,
  PRIMARY KEY (team, project, lane, state)
) WITHOUT ROWID;
CREATE TRIGGER jobs_inserted AFTER INSERT ON jobs BEGIN
  INSERT INTO job_tally VALUES (new.team, new.project, new.lane, new.state, 1)
    ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER jobs_changed AFTER UPDATE OF state ON jobs WHEN old.state <> new.state BEGIN
  UPDATE job_tally SET jobs = jobs - 1
    WHERE team = old.team AND project = old.project AND lane = old.lane AND state = old.state;
  INSERT INTO job_tally VALUES (new.team, new.project, new.lane, new.state, 1)
    ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;

CREATE TABLE document_tally (
  team TEXT NOT NULL,
  project TEXT NOT NULL,
  documents INTEGER NOT NULL,
  chunks INTEGER NOT NULL,
  open INTEGER NOT NULL,
  PRIMARY KEY (team, project)
) WITHOUT ROWID;
CREATE TRIGGER documents_inserted AFTER INSERT ON documents BEGIN
  INSERT INTO document_tally VALUES (new.team, new.project, 0, 0, new.open)
    ON CONFLICT DO UPDATE SET open = open + excluded.open;
END;
CREATE TRIGGER documents_changed AFTER UPDATE OF live_version, live_chunks, open ON documents
  WHEN old.live_version IS NOT new.live_version OR old.live_chunks IS NOT new.live_chunks OR old.open <> new.open
BEGIN
  UPDATE document_tally SET
    documents = documents + (new.live_version IS NOT NULL) - (old.live_version IS NOT NULL),
    chunks = chunks + coalesce(new.live_chunks, 0) - coalesce(old.live_chunks, 0),
    open = open + new.open - old.open
  WHERE team = new.team AND project = new.project;
END;

-- Operational: beside the log, never rebuilt from it.

CREATE TABLE command_outcomes (
  team TEXT NOT NULL,
  project TEXT NOT NULL,
  command_id TEXT NOT NULL,
  body_digest TEXT NOT NULL,
  answer TEXT NOT NULL,
  answered_at INTEGER NOT NULL,
  PRIMARY KEY (team, project, command_id)
) WITHOUT ROWID;

CREATE TABLE order_keys (document_id TEXT PRIMARY KEY, order_key TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE job_attempts (
  job_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  lane TEXT NOT NULL,
  worker TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  outcome TEXT NOT NULL,
  error TEXT,
  solo INTEGER NOT NULL,
  PRIMARY KEY (job_id, attempt)
) WITHOUT ROWID;
CREATE INDEX job_attempts_unsettled ON job_attempts (lane, outcome, job_id) WHERE outcome IN ('running', 'failed');

-- Nanoseconds and inodes exceed what a double holds: they are text.
CREATE TABLE file_states (
  document_id TEXT PRIMARY KEY,
  source_id TEXT NOT NULL,
  path BLOB NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns TEXT NOT NULL,
  inode TEXT NOT NULL,
  raw TEXT NOT NULL,
  descriptor TEXT NOT NULL,
  sync INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX file_states_path ON file_states (source_id, path);

CREATE TABLE lanes (lane TEXT PRIMARY KEY, paused INTEGER NOT NULL) WITHOUT ROWID;
`

/** `content.sqlite`: bodies and vectors, per project. `encoding` is 0 for raw bytes, 1 for zlib's deflate. */
export const contentTables = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE projects (id INTEGER PRIMARY KEY, team TEXT NOT NULL, project TEXT NOT NULL, UNIQUE (team, project));
CREATE TABLE models (id INTEGER PRIMARY KEY, model TEXT NOT NULL UNIQUE);
CREATE TABLE blobs (
  project INTEGER NOT NULL,
  digest BLOB NOT NULL,
  encoding INTEGER NOT NULL,
  size INTEGER NOT NULL,
  bytes BLOB NOT NULL
);
CREATE UNIQUE INDEX blobs_digest ON blobs (project, digest);
CREATE TABLE vectors (
  project INTEGER NOT NULL,
  model INTEGER NOT NULL,
  input BLOB NOT NULL,
  digest BLOB NOT NULL,
  vector BLOB NOT NULL
);
CREATE UNIQUE INDEX vectors_input ON vectors (project, model, input);
`
