/**
 * Read models that are cheap to write: rows in the order of their arrival instead of under random keys, indexes that hold
 * what is unfinished alone or follow the order of arrival, and counts that are added up by the writer instead of by
 * triggers. Never edited: a change is a migration of the next number.
 */
export const narrowReadModels = `
DROP TRIGGER jobs_inserted;
DROP TRIGGER jobs_changed;
DROP TRIGGER documents_inserted;
DROP TRIGGER documents_changed;

CREATE TABLE documents_2 (
  document_id TEXT NOT NULL UNIQUE,
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
  parked_reason TEXT,
  -- Where it was submitted first: its row.
  first_position INTEGER PRIMARY KEY
);
INSERT INTO documents_2 SELECT *, (
  SELECT position FROM events WHERE stream = 'document-' || document_id AND type = 'DocumentSubmitted'
  ORDER BY version LIMIT 1
) AS first FROM documents ORDER BY first;
DROP TABLE documents;
ALTER TABLE documents_2 RENAME TO documents;
CREATE INDEX documents_source ON documents (team, project, source_id);
CREATE INDEX documents_open ON documents (submitted_position) WHERE open = 1;
CREATE INDEX documents_unfinished ON documents (team, project, source_id) WHERE open = 1;
CREATE INDEX documents_removed ON documents (team, project, source_id) WHERE removed IS NOT NULL;
CREATE INDEX documents_parked ON documents (team, project, source_id) WHERE parked_job IS NOT NULL;

-- An event opens one job at most: the position at which it was queued is the job's row.
CREATE TABLE jobs_2 (
  job_id TEXT NOT NULL UNIQUE,
  lane TEXT NOT NULL,
  build INTEGER NOT NULL,
  team TEXT NOT NULL,
  project TEXT NOT NULL,
  document_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  queued_position INTEGER PRIMARY KEY,
  queued_at INTEGER NOT NULL,
  -- The row of its document.
  document INTEGER
);
INSERT INTO jobs_2 SELECT *, (
  SELECT first_position FROM documents d WHERE d.document_id = jobs.document_id
) FROM jobs ORDER BY queued_position;
DROP TABLE jobs;
ALTER TABLE jobs_2 RENAME TO jobs;
CREATE INDEX jobs_document ON jobs (document) WHERE state IN ('queued', 'parked');
CREATE INDEX jobs_unfinished ON jobs (state, lane) WHERE state <> 'completed';
CREATE INDEX jobs_scope ON jobs (team, project);
`
