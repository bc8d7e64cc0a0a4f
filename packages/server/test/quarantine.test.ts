import { randomUUID } from "node:crypto";
import { bundleTuple } from "@gatehouse/core";
import { Ack_Status, Goaway_Reason } from "@gatehouse/wire";
import { describe, expect, test } from "vitest";
import { openServerKeys } from "../src/keys/server-keys.ts";
import { acknowledge, nodeOf, send } from "./commands-under-test.ts";
import { DATABASES } from "./databases.ts";
import { signWith } from "./fleet-under-test.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { copyCounts } from "./stored-rows.ts";
import { helloOf, SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

describe.each(DATABASES)("quarantine on $name", ({ open }) => {
  const on = orgOnDatabase(open);

  test("a node that lost its journal, or that runs twice, gets nothing until an operator accepts it", async () => {
    const host = await on.org.enroll("q1");
    const session = await SessionUnderTest.open(host);
    const [bootA, bootB] = [randomUUID(), randomUUID()];
    const first = await StreamUnderTest.open(session, { hello: helloOf(bootA) });
    await send(host);
    acknowledge(first, await first.next("command"));
    await first.next("ackReceived");
    await first[Symbol.asyncDispose]();
    await send(host);
    await using forgetful = await StreamUnderTest.open(session, { hello: helloOf(bootB) });
    await forgetful.next("accepted");
    expect((await nodeOf(host))?.quarantineReason).toBe("position_behind");
    expect(forgetful.count("command")).toBe(0);
    await on.org.nodes.acceptNode({ nodeId: host.registered.nodeId }, on.org.headers);
    await forgetful.next("command");
    await using returned = await StreamUnderTest.open(session, { hello: helloOf(bootA) });
    await returned.next("accepted");
    expect((await nodeOf(host))?.quarantineReason).toBe("");
    await using alternating = await StreamUnderTest.open(session, { hello: helloOf(bootB) });
    await alternating.next("accepted");
    expect((await nodeOf(host))?.quarantineReason).toBe("two_boots");
  });

  test("a node that refused a command, or knew one that was sent again, is where it should be at its next Hello", async () => {
    const host = await on.org.enroll("q4");
    const session = await SessionUnderTest.open(host);
    const first = await StreamUnderTest.open(session);
    await send(host);
    const { header } = await first.next("command");
    const lastCommand = header ?? {};
    await first[Symbol.asyncDispose]();
    // Its daemon died while it did that: it knows it under the first number, whatever it is given now.
    const second = await StreamUnderTest.open(session, { hello: helloOf(randomUUID(), { lastCommand }) });
    const again = await second.next("command");
    expect(again.header?.seq).toBeGreaterThan(header?.seq ?? 0n);
    acknowledge(second, again, { status: Ack_Status.OUTCOME_UNKNOWN });
    await second.next("ackReceived");
    await send(host);
    acknowledge(second, await second.next("command"), { status: Ack_Status.BUSY });
    await second.next("ackReceived");
    await second[Symbol.asyncDispose]();
    const third = await StreamUnderTest.open(session, { hello: helloOf(randomUUID(), { lastCommand }) });
    await third.next("accepted");
    expect((await nodeOf(host))?.quarantineReason).toBe("");
    await third[Symbol.asyncDispose]();
    // What its Hello proved counts all the same: it lost its journal now.
    await using forgetful = await StreamUnderTest.open(session);
    await forgetful.next("accepted");
    expect((await nodeOf(host))?.quarantineReason).toBe("position_behind");
  });

  test("a node that serves a bundle which this server signed and lost gets nothing until an operator accepts it, then a newer one", async () => {
    const host = await on.org.enroll("q2");
    const session = await SessionUnderTest.open(host);
    const { nodeId } = host.registered;
    const own = { now: () => on.fleet.clock.now(), randomBytes: () => new Uint8Array(32) };
    const { keySet, working } = await openServerKeys(on.fleet.directory, own);
    const header = (signer: Pick<typeof working.bundle.key, "sign">, generation: number) => {
      const [issuedAt, manifestSha256] = [on.fleet.clock.now(), new Uint8Array(32)];
      const { epoch } = keySet;
      const tuple = bundleTuple({ orgId: on.org.orgId, nodeId, epoch, generation }, issuedAt, manifestSha256);
      const counted = { epoch: BigInt(epoch), generation: BigInt(generation), issuedAt: BigInt(issuedAt) };
      return { lastBundle: { ...counted, manifestSha256, keyId: working.bundle.id, signature: signer.sign(tuple) } };
    };
    const forged = header({ sign: (bytes) => signWith(host.identity, bytes) }, 40);
    await using liar = await StreamUnderTest.open(session, { hello: helloOf(randomUUID(), forged) });
    await liar.next("accepted");
    expect(await nodeOf(host)).toMatchObject({ quarantineReason: "", generation: 1n });
    await using ahead = await StreamUnderTest.open(session, {
      hello: helloOf(randomUUID(), header(working.bundle.key, 41)),
    });
    await ahead.next("accepted");
    expect(await nodeOf(host)).toMatchObject({ quarantineReason: "bundle_ahead", generation: 41n });
    await send(host);
    expect(ahead.count("command")).toBe(0);
    await on.org.nodes.acceptNode({ nodeId }, on.org.headers);
    await ahead.next("command");
    expect(await nodeOf(host)).toMatchObject({ quarantineReason: "", generation: 42n });
  });

  test("a database that is put back under a running server: no number is given twice, and whoever has the later one is asked for proof", async () => {
    const host = await on.org.enroll("q3");
    const session = await SessionUnderTest.open(host);
    const stream = await StreamUnderTest.open(session);
    const { nodeId } = host.registered;
    const putBack = await copyCounts(on.database.location, on.org.orgId, nodeId);
    await send(host);
    const lost = await stream.next("command");
    acknowledge(stream, lost);
    await stream.next("ackReceived");
    await putBack();
    await send(host);
    expect((await stream.next("goaway")).reason).toBe(Goaway_Reason.SESSION_ENDED);
    expect(stream.count("command")).toBe(1);
    await stream[Symbol.asyncDispose]();

    const hello = helloOf(randomUUID(), { lastCommand: lost.header });
    await using ahead = await StreamUnderTest.open(session, { hello });
    await ahead.next("accepted");
    expect((await nodeOf(host))?.quarantineReason).toBe("position_ahead");
    expect(ahead.count("command")).toBe(0);
    await on.org.nodes.acceptNode({ nodeId }, on.org.headers);
    const { header } = await ahead.next("command");
    expect(header?.seq).toBe((lost.header?.seq ?? 0n) + 1n);
  });
});
