/**
 * Documents and jobs are found without an index of their random ids: such an index has a page to change for every event,
 * and those pages were half of what a single append wrote.
 *
 * A document's row is the position of the first submission in its stream, so the index of streams leads to it, and no
 * document has two. A job's id is a function of its document and version, so the jobs of a version are all that can have
 * it; where nothing but the id is known, it is looked for among the jobs of 1,024 positions at a time, the newest first.
 * Never edited: a change is a migration of the next number.
 */
export const foundByArrival = `
CREATE TABLE documents_3 (
  document_id TEXT NOT NULL,
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
INSERT INTO documents_3 SELECT * FROM documents ORDER BY first_position;
DROP TABLE documents;
ALTER TABLE documents_3 RENAME TO documents;
CREATE INDEX documents_source ON documents (team, project, source_id);
CREATE INDEX documents_open ON documents (submitted_position) WHERE open = 1;
CREATE INDEX documents_unfinished ON documents (team, project, source_id) WHERE open = 1;
CREATE INDEX documents_removed ON documents (team, project, source_id) WHERE removed IS NOT NULL;
CREATE INDEX documents_parked ON documents (team, project, source_id) WHERE parked_job IS NOT NULL;

-- An event opens one job at most: the position at which it was queued is the job's row.
CREATE TABLE jobs_3 (
  job_id TEXT NOT NULL,
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
  document INTEGER NOT NULL
);
INSERT INTO jobs_3 SELECT * FROM jobs WHERE document IS NOT NULL ORDER BY queued_position;
DROP TABLE jobs;
ALTER TABLE jobs_3 RENAME TO jobs;
CREATE INDEX jobs_document ON jobs (document, state, version);
CREATE INDEX jobs_unfinished ON jobs (state, lane) WHERE state <> 'completed';
CREATE INDEX jobs_scope ON jobs (team, project);
CREATE INDEX jobs_id ON jobs (queued_position >> 10, job_id);

-- What a sync remembers of a file leads to its document's row, where the document was there already.
ALTER TABLE file_states ADD COLUMN document INTEGER;
UPDATE file_states SET document = (
  SELECT position FROM events WHERE stream = 'document-' || document_id AND type = 'DocumentSubmitted'
  ORDER BY version LIMIT 1
);
`
