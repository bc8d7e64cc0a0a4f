import { type Client, createClient } from "@connectrpc/connect";
import { Ack_Status, NodeAdminService, Role, SentCommand_State } from "@gatehouse/wire";
import { expect, test } from "vitest";
import { PING } from "./commands-under-test.ts";
import { DATABASES } from "./databases.ts";
import { FleetUnderTest, type HostUnderTest, type OrgUnderTest } from "./fleet-under-test.ts";
import { SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

const COMMANDS = 30;
/** A waiter that missed the bus looks again after five seconds: this many wake-ups would not do without it. */
const LONGEST_MEDIAN_MS = 500;
const REVOKED_KEYS = 3;

/** Two servers and a database of its own, beside whatever else runs. */
const TIMEOUT_MS = 60_000;

test("a command given at one replica goes out at once on the node's stream at another, and its end comes back", {
  timeout: TIMEOUT_MS,
}, async () => {
  const postgres = DATABASES.find(({ name }) => name === "PostgreSQL");
  if (postgres === undefined) throw new Error("PostgreSQL is not tested");
  await using database = await postgres.open();
  await using a = await FleetUnderTest.open(database.location);
  await using b = await FleetUnderTest.open(database.location, { directory: a.directory });
  const org = await a.createOrg("acme");
  const host = await org.enroll("n1");
  await using stream = await StreamUnderTest.open(await SessionUnderTest.open(host));
  await stream.next("accepted");
  const atB = createClient(NodeAdminService, b.transport);
  const took: number[] = [];
  for (let index = 0; index < COMMANDS; index += 1) {
    const startedMs = performance.now();
    const asked = { nodeIds: [host.registered.nodeId], payload: PING, idempotencyKey: `k${index}`, ttlMs: 60_000n };
    const { batchId, commands } = await atB.sendCommand(asked, org.headers);
    const { header } = await stream.next("command");
    expect(header?.commandId).toBe(commands[0]?.commandId);
    // Twice, as after a connection that broke: the first one counts.
    for (const message of ["pong", "again"]) {
      const ack = { commandId: header?.commandId ?? "", status: Ack_Status.OK, message };
      stream.send({ case: "ack", value: ack });
    }
    const ended = await atB.listCommands({ batchId, waitMs: 10_000n }, org.headers);
    expect(ended.commands).toMatchObject([{ state: SentCommand_State.OK, message: "pong" }]);
    took.push(performance.now() - startedMs);
  }
  expect(stream.count("command")).toBe(COMMANDS);
  await withdrawn(org, { host, atB });
  const median = took.toSorted((one, other) => one - other)[COMMANDS / 2];
  expect(median).toBeLessThan(LONGEST_MEDIAN_MS);
});

/** Whoever waits at one replica for a command hears at once that it was withdrawn at another, with the key that gave it. */
async function withdrawn(
  org: OrgUnderTest,
  { host, atB }: { readonly host: HostUnderTest; readonly atB: Client<typeof NodeAdminService> },
): Promise<void> {
  const took: number[] = [];
  for (let index = 0; index < REVOKED_KEYS; index += 1) {
    const made = await org.org.createApiKey({ label: "k", role: Role.OPERATOR, ttlMs: 0n }, org.headers);
    const by = { headers: { Authorization: `Bearer ${made.apiKey}` } };
    const asked = { nodeIds: [host.registered.nodeId], payload: PING, idempotencyKey: `w${index}`, ttlMs: 60_000n };
    const { batchId } = await atB.sendCommand(asked, by);
    const startedMs = performance.now();
    const [ended] = await Promise.all([
      atB.listCommands({ batchId, waitMs: 30_000n }, org.headers),
      org.org.revokeApiKey({ id: made.stored?.id ?? "" }, org.headers),
    ]);
    expect(ended.commands).toMatchObject([{ withdrawnWhy: "key_revoked" }]);
    took.push(performance.now() - startedMs);
  }
  const median = took.toSorted((one, other) => one - other)[Math.floor(REVOKED_KEYS / 2)];
  expect(median).toBeLessThan(LONGEST_MEDIAN_MS);
}
