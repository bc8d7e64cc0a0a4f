import { createClient } from "@connectrpc/connect";
import { type KnownServer, openKnownChannel, openPinnedChannel, orgPin, toServerProblem } from "@gatehouse/kit";
import { NodeAdminService } from "@gatehouse/wire";
import { expect, test } from "vitest";
import { DATABASES } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest } from "./fleet-under-test.ts";

test("a connection that the server closed before anything was called on it is known to be gone", async () => {
  await using database = await DATABASES[0].open();
  const stack = new AsyncDisposableStack();
  const fleet = stack.use(await FleetUnderTest.open(database.location));
  const org = await fleet.createOrg("acme");
  using channel = await openKnownChannel(await knownOf(fleet, org));
  await stack.disposeAsync();
  await channel.closed;
  const called = createClient(NodeAdminService, channel.transport).listNodes({}, org.headers);
  await expect(called.catch(toServerProblem)).resolves.toMatchObject({ code: "server.unreachable" });
});

test("a key set that was announced is fetched on the connection that it covers, and remembered when it is so new", async () => {
  await using database = await DATABASES[0].open();
  await using fleet = await FleetUnderTest.open(database.location);
  const org = await fleet.createOrg("acme");
  const known = await knownOf(fleet, org);
  const { keySet } = known;
  const saved: number[] = [];
  const saveKeySet = async ({ epoch }: { readonly epoch: number }) => void saved.push(epoch);
  using channel = await openKnownChannel({ ...known, keySet: { ...keySet, epoch: 0 }, saveKeySet });
  expect(saved).toEqual([]);
  expect(await channel.learnKeySet(1)).toEqual(keySet);
  expect(saved).toEqual([1]);
  await expect(channel.learnKeySet(2)).rejects.toMatchObject({ code: "server.untrusted" });
  expect(saved).toEqual([1]);
});

/** The server as a machine knows it that was there before. */
async function knownOf(fleet: FleetUnderTest, { orgId, orgKey }: OrgUnderTest): Promise<KnownServer> {
  const origin = fleet.server.url;
  const { channel, identity } = await openPinnedChannel(origin, orgPin(fleet.serverKey, orgId, orgKey.publicKey));
  channel[Symbol.dispose]();
  const { keySet } = identity;
  return {
    origin,
    identityKey: fleet.serverKey,
    orgId,
    orgKey: orgKey.publicKey,
    keySet,
    saveKeySet: async () => undefined,
  };
}
