import { integerType } from "./value-types.ts";

const MAX_DAYS = 3_650;

/** How long a server keeps what it could forget. */
export const RETENTION_KEYS = {
  "retention.telemetryDays": {
    type: integerType(1, MAX_DAYS),
    unit: "days",
    env: "GATEHOUSE_RETENTION_TELEMETRY_DAYS",
    default: () => 7,
    since: "0.1",
    say: "How long a server keeps the figures that nodes send, and what it knows of gaps in them.",
  },
  "retention.eventsDays": {
    type: integerType(1, MAX_DAYS),
    unit: "days",
    env: "GATEHOUSE_RETENTION_EVENTS_DAYS",
    default: () => 30,
    since: "0.1",
    say: "How long a server keeps events, and runs that have ended. The audit log is kept whole, whatever this says.",
  },
  "retention.commandsDays": {
    type: integerType(2, MAX_DAYS),
    unit: "days",
    env: "GATEHOUSE_RETENTION_COMMANDS_DAYS",
    default: () => 30,
    since: "0.1",
    say: "How long a server keeps commands that have ended, with what they brought back. One that is given again later, with the same idempotency key, is a new one.",
  },
} as const;
