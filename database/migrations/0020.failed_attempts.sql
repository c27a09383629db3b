-- By patient, administrators find accesses in the list that patients read (0012), and failed attempts, which are not in it,
-- by an index of those alone. The index of all events was written at every read, and some reads waited until what it had put
-- off was sorted in. Services of the release before need it: as long as one runs, its search by patient reads the whole trail.
-- The trail is read once, some 2 s per million events, in which nothing can be recorded and so no health data be read.
-- depends: 0019.audit_writes

CREATE INDEX ix_audit_events_failed ON audit_events USING gin (patient_ids) WHERE outcome <> 'success';
DROP INDEX ix_audit_events_patients;
