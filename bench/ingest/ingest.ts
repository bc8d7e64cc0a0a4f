import { create } from "@bufbuild/protobuf";
import { openPostgres, type PostgresServer, startFleet } from "@gatehouse/testbed";
import { UploadTelemetryRequestSchema } from "@gatehouse/wire";
import { type NodeSession, openNodeSession } from "../../packages/node/src/uplink/node-session.ts";
import { sendStream } from "../../packages/node/src/uplink/send-stream.ts";
import { median } from "../median.ts";
import type { Row } from "../row.ts";

const NODES = 4;
const SAMPLES_A_BATCH = 1_000;
const BATCHES_A_STREAM = 16;
const ROUND_MS = 3_000;
const BARE_INSERTS = 10;
const BARE_NODE = "01975b2e-6c1e-7c3a-8000-000000000001";
const RUN_ID = "01975b2e6c1e7c3a";

/** Uploads samples from several nodes, over TLS and with proofs, into a server of its own process: stored and answered. */
export async function benchIngest({ isShort }: { readonly isShort: boolean }): Promise<Row[]> {
  const rounds = isShort ? 2 : 5;
  const rows = [await measure("the embedded database", { rounds, atLeast: 20_000 })];
  await using postgres = await openPostgres({ fsync: true });
  const stored = await measure("PostgreSQL", { rounds, atLeast: 50_000, databaseUrl: postgres.url() });
  rows.push({ ...stored, peers: await insertBareRows(postgres) });
  return rows;
}

/**
 * What the same database takes in rows of one sample each, made by itself: without anything, and with two indexes and a
 * reference.
 */
async function insertBareRows(postgres: PostgresServer): Promise<Readonly<Record<string, number>>> {
  const columns = "org_id text, node_id text, name text, run_id text, time bigint, value double precision";
  await postgres.sql(`create table bare (${columns});
    create table node (id text, org_id text, primary key (id, org_id));
    insert into node values ('${BARE_NODE}', '${BARE_NODE}');
    create table held (${columns}, foreign key (node_id, org_id) references node (id, org_id));
    create index on held (org_id, node_id, name, time);
    create index on held (org_id, time)`);
  const perSecond = async (table: string) => {
    const own = `'${BARE_NODE}', '${BARE_NODE}', 'gate.requests', '${RUN_ID}'`;
    const insert = `insert into ${table} select ${own}, at, at from generate_series(1, ${SAMPLES_A_BATCH * BATCHES_A_STREAM}) at;`;
    const began = performance.now();
    await postgres.sql(insert.repeat(BARE_INSERTS));
    return (BARE_INSERTS * SAMPLES_A_BATCH * BATCHES_A_STREAM * 1_000) / (performance.now() - began);
  };
  return { "bare rows": await perSecond("bare"), "rows with two indexes and a reference": await perSecond("held") };
}

interface Measurement {
  readonly rounds: number;
  readonly atLeast: number;
  readonly databaseUrl?: string;
}

async function measure(name: string, { rounds, atLeast, databaseUrl }: Measurement): Promise<Row> {
  await using fleet = await startFleet(databaseUrl === undefined ? {} : { databaseUrl });
  await fleet.initOrg();
  const uploaders: Uploader[] = [];
  try {
    for (let at = 0; at < NODES; at += 1) {
      await fleet.enrollHost(`n${at}`);
      uploaders.push(new Uploader(await openNodeSession(fleet.path(`n${at}`))));
    }
    const perSecond: number[] = [];
    for (let round = 0; round < rounds; round += 1) perSecond.push(await oneRound(uploaders));
    const target = { atLeast };
    return {
      case: `samples stored in ${name}, ${NODES} nodes`,
      value: median(perSecond),
      unit: "/s",
      target,
      rounds: { [name]: perSecond },
    };
  } finally {
    for (const uploader of uploaders) uploader[Symbol.dispose]();
  }
}

async function oneRound(uploaders: readonly Uploader[]): Promise<number> {
  const began = performance.now();
  const counts = await Promise.all(uploaders.map((uploader) => uploader.upload(began + ROUND_MS)));
  return (counts.reduce((sum, count) => sum + count, 0) / (performance.now() - began)) * 1_000;
}

class Uploader implements Disposable {
  readonly #session: NodeSession;
  #offset = 0;

  constructor(session: NodeSession) {
    this.#session = session;
  }

  /** Streams one after another until then. Returns how many samples were acknowledged. */
  async upload(until: number): Promise<number> {
    let acknowledged = 0;
    while (performance.now() < until) {
      const first = this.#offset;
      const answer = await sendStream(() => {
        this.#offset = first;
        return this.#session.gateway.uploadTelemetry(this.#stream());
      });
      if (answer.acknowledged.bench !== BigInt(this.#offset - 1)) throw new Error("a batch was not stored");
      acknowledged += SAMPLES_A_BATCH * BATCHES_A_STREAM;
    }
    return acknowledged;
  }

  async *#stream() {
    for (let batch = 0; batch < BATCHES_A_STREAM; batch += 1) {
      const now = Date.now();
      const samples = Array.from({ length: SAMPLES_A_BATCH }, (_, at) => ({
        name: at % 2 === 0 ? "gate.requests" : "gate.bytes_sent",
        runId: RUN_ID,
        time: BigInt(now - at),
        value: at,
      }));
      const payload = { case: "samples", value: { samples } } as const;
      const envelope = { source: "bench", offset: BigInt(this.#offset), capturedAt: BigInt(now) };
      this.#offset += 1;
      yield create(UploadTelemetryRequestSchema, { ...envelope, payload });
    }
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}
