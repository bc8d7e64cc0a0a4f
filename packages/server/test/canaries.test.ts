import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DescMethod } from "@bufbuild/protobuf";
import { base64url, fromBase64url, systemRandom } from "@gatehouse/core";
import { openFakeIdentityProvider, openPostgres } from "@gatehouse/testbed";
import { callerRow, Role, SERVICES } from "@gatehouse/wire";
import { expect, test } from "vitest";
import type { StoreLocation } from "../src/index.ts";
import { FleetUnderTest, HostUnderTest, type OrgUnderTest } from "./fleet-under-test.ts";
import { apiKeyOf } from "./host-session.ts";
import { oidcOf } from "./oidc-under-test.ts";
import { type Plants, plantMessage } from "./planted-message.ts";
import { SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;
/** A node that left calls nothing more: that comes last. */
const METHODS = Object.values(SERVICES)
  .flatMap((service) => [...service.methods])
  .toSorted((a, b) => Number(a.localName === "leave") - Number(b.localName === "leave"));
/** A text that is no secret, in a call that carries one. */
const SHOWN = "a-label-that-may-be-seen";
const CALL_MS = 300;

/** A marker that stands in no text by chance and survives base64url. */
function newMarker(): string {
  return `canary${base64url(systemRandom.bytes(12)).replaceAll(/[-_]/g, "x")}`;
}

function newDirectory(): string {
  return mkdtempSync(join(tmpdir(), "gatehouse-canaries-"));
}

/** How a secret may stand somewhere: as it is, in base64 or hex of its text, and the bytes of its secret part. */
function formsOf(secret: string): readonly Buffer[] {
  const text = Buffer.from(secret);
  const part = /(?:^|_)([A-Za-z0-9_-]{43})(?:\.|$)/.exec(secret)?.[1] ?? "";
  const decoded = Buffer.from(fromBase64url(part) ?? new Uint8Array());
  const forms = [
    text,
    Buffer.from(part),
    decoded,
    Buffer.from(decoded.toString("hex")),
    Buffer.from(text.toString("hex")),
  ];
  return [...forms, Buffer.from(text.toString("base64url").slice(0, -2))].filter(({ length }) => length >= 16);
}

function expectAbsent(where: string, content: Buffer, secrets: readonly string[]): void {
  for (const secret of secrets) {
    const isThere = formsOf(secret).some((form) => content.includes(form));
    if (isThere) throw new Error(`${where} holds ${secret.slice(0, 12)}…`);
  }
}

/** How many messages it takes to have each case of its oneofs once. */
function turnsOf({ input }: DescMethod): number {
  return Math.max(1, ...input.oneofs.map(({ fields }) => fields.length));
}

/** What a failed call tells its caller, all of it. */
function textOf(failure: unknown): string {
  if (!(failure instanceof Error)) return String(failure);
  const metadata = "metadata" in failure && failure.metadata instanceof Headers ? [...failure.metadata] : [];
  const details = "details" in failure ? JSON.stringify(failure.details) : "";
  return `${failure.message} ${JSON.stringify(metadata)} ${details}`;
}

async function callOnce(
  fleet: FleetUnderTest,
  method: DescMethod,
  how: { headers: Readonly<Record<string, string>>; plants: Plants },
) {
  const { transport } = fleet;
  const message = plantMessage(method.input, how.plants);
  const signal = AbortSignal.timeout(CALL_MS);
  try {
    if (method.methodKind === "unary") {
      await transport.unary(method as never, signal, CALL_MS, how.headers, message as never);
      return "";
    }
    const sent = (async function* () {
      yield message;
    })();
    const answer = await transport.stream(method as never, signal, CALL_MS, how.headers, sent as never);
    for await (const _ of answer.message) break;
    return "";
  } catch (failure) {
    return textOf(failure);
  }
}

test.each(LEVELS)(
  "what is planted into any RPC, by whoever, is in no log at level %s and in no answer",
  async (level) => {
    const directory = newDirectory();
    const location: StoreLocation = { kind: "sqlite", path: join(directory, "server.db") };
    await using fleet = await FleetUnderTest.open(location, { directory, level });
    const org = await fleet.createOrg("acme");
    const secret = newMarker();
    const bodies = newMarker();
    const host = await org.enroll("n1");
    const session = await SessionUnderTest.open(host);
    const told: string[] = [];
    for (const method of METHODS) {
      const row = callerRow(method.parent.typeName, method.localName);
      if (row === undefined) throw new Error(`${method.parent.typeName}/${method.name} has no row`);
      const body = row.log === "suppress" ? bodies : undefined;
      for (let turn = 0; turn < turnsOf(method); turn += 1) {
        const callers: readonly Readonly<Record<string, string>>[] = [
          {},
          { Authorization: `Bearer ${secret}`, Cookie: `session=${secret}`, DPoP: secret },
          { Authorization: `DPoP ${secret}`, DPoP: `${secret}.${secret}.${secret}` },
          { ...org.headers.headers },
          { ...(await session.proofOf(method.name)).headers },
        ];
        for (const headers of callers) {
          told.push(await callOnce(fleet, method, { headers, plants: { secret, body, turn } }));
        }
      }
    }
    // The control: calls came through, were refused, and are in the log where it is that verbose.
    expect(told.filter((text) => text !== "").length).toBeGreaterThan(METHODS.length);
    if (level === "debug") expect(fleet.lines.length).toBeGreaterThan(METHODS.length);
    expectAbsent("an answer", Buffer.from(told.join("\n")), [secret]);
    const real = [org.apiKey, session.token, fleet.setupCode];
    expectAbsent("the log", Buffer.from(fleet.lines.join("\n")), [secret, bodies, ...real]);
  },
  120_000,
);

/** Every secret that a server gives, in a life of an organisation. */
async function liveThrough(fleet: FleetUnderTest, org: OrgUnderTest): Promise<readonly string[]> {
  const { apiKey: second } = await org.org.createApiKey({ label: SHOWN, role: Role.ADMIN }, org.headers);
  const unclaimed = await org.createCode("unclaimed");
  const claimed = await org.createCode();
  const host = new HostUnderTest(org, "n1");
  await host.register(claimed);
  await org.confirm(host);
  const first = await apiKeyOf(host);
  const session = await SessionUnderTest.open(host, first);
  await using stream = await StreamUnderTest.open(session);
  session.nonce = (await stream.next("accepted")).dpopNonce;
  const renewal = (await session.proofOf("ControlStream")).headers.DPoP;
  stream.send({ case: "renewSession", value: { proof: renewal } });
  const renewed = await stream.next("sessionRenewed");
  const { sealedApiKey } = await fleet.gateway.rotateApiKey({}, await session.proofOf("RotateApiKey"));
  const { code: replacing } = await org.nodes.replaceNode({ nodeId: host.registered.nodeId }, org.headers);
  expect(sealedApiKey).not.toBe("");
  return [
    fleet.setupCode,
    org.apiKey,
    second,
    unclaimed,
    claimed,
    first,
    session.token,
    renewal,
    renewed.sessionToken,
    replacing,
  ];
}

async function expectSecretFree(fleet: FleetUnderTest, dump: () => Promise<Buffer>, clientSecret: string) {
  const org = await fleet.createOrg("acme");
  const secrets = [...(await liveThrough(fleet, org)), clientSecret];
  expect(new Set(secrets).size).toBe(secrets.length);
  const content = await dump();
  // The control: what is stored or logged can be found.
  expect(content.includes(SHOWN)).toBe(true);
  expect(fleet.lines.join("\n")).toContain(SHOWN);
  expectAbsent("the database", content, secrets);
  expectAbsent("the log", Buffer.from(fleet.lines.join("\n")), secrets);
}

test("no code, key, token or proof stands in the SQLite database, in clear or as bytes, nor in the log", async () => {
  await using provider = await openFakeIdentityProvider();
  const directory = newDirectory();
  const path = join(directory, "server.db");
  await using fleet = await FleetUnderTest.open({ kind: "sqlite", path }, { directory, oidc: oidcOf(provider) });
  const dump = async () =>
    Buffer.concat(
      readdirSync(directory)
        .filter((name) => name.startsWith("server.db"))
        .map((name) => readFileSync(join(directory, name))),
    );
  await expectSecretFree(fleet, dump, provider.clientSecret);
});

test("nor in the PostgreSQL database", async () => {
  await using provider = await openFakeIdentityProvider();
  await using postgres = await openPostgres();
  await using fleet = await FleetUnderTest.open({ kind: "postgres", url: postgres.url() }, { oidc: oidcOf(provider) });
  const dump = async () => {
    const names = await postgres.sql("select tablename from pg_tables where schemaname = 'public'");
    const rows = names
      .trim()
      .split("\n")
      .map((name) => postgres.sql(`select t::text from "${name}" t`));
    return Buffer.from((await Promise.all(rows)).join("\n"));
  };
  await expectSecretFree(fleet, dump, provider.clientSecret);
});
