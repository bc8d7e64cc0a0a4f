/** A stream carries no more than this, counted as its batches are stored. */
export const MAX_STREAM_BYTES = 4 * 1_048_576;
export const MAX_PAYLOAD_BYTES = 1_048_576;
/** Nodes end a stream after five seconds; one that takes longer than this is refused. */
export const MAX_STREAM_MS = 10_000;
/** Of one node and kind of stream. A node begins a new one when it lost its spool. */
export const MAX_SOURCES = 16;
/** Uploads of all nodes that wait for the database. */
export const MAX_WAITING_BYTES = 128 * 1_048_576;
/** Of these, one organisation's: nobody's flood holds up the others. */
export const MAX_WAITING_BYTES_OF_ORG = 32 * 1_048_576;
/** When to come again if there was no room. */
export const RETRY_UPLOAD_MS = 5_000;
/** One transaction takes no more of smaller batches, some 0.1 s of work at most, so that others have their turn. */
export const MAX_GROUP_BYTES = 131_072;
/** Runs that one transaction writes for snapshots: what is left of them follows in the next ones. */
export const MAX_SNAPSHOT_RUNS = 500;
/** Two streams whose snapshots contradict each other would go on for ever. */
export const MAX_TURNS = 100;
/** A node sends one stream of a kind at a time; the one before may not have noticed yet that its connection is gone. */
export const REPORT_STREAMS_OF_NODE = 2;
/** Copies of audit logs that are read at once: each may hold what no head covers yet. */
export const AUDIT_STREAMS = { ofOrg: 6, inAll: 8 } as const;
export const MAX_AUDIT_STREAM_MS = 60_000;
/** One that is slower is not waited for; a segment that takes a minute comes five times as fast. */
export const AUDIT_PACE = { bytes: 65_536, everyMs: 5_000 } as const;
