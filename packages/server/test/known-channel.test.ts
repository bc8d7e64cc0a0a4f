import { openKnownChannel, openPinnedChannel, orgPin } from "@gatehouse/kit";
import { expect, test } from "vitest";
import { DATABASES } from "./databases.ts";
import { FleetUnderTest } from "./fleet-under-test.ts";

test("a key set that was announced is fetched on the connection that it covers, and remembered when it is so new", async () => {
  await using database = await DATABASES[0].open();
  await using fleet = await FleetUnderTest.open(database.location);
  const org = await fleet.createOrg("acme");
  const origin = fleet.server.url;
  const pinned = await openPinnedChannel(origin, orgPin(fleet.serverKey, org.orgId, org.orgKey.publicKey));
  pinned.channel[Symbol.dispose]();
  const { keySet } = pinned.identity;
  const saved: number[] = [];
  const known = { origin, identityKey: fleet.serverKey, orgId: org.orgId, orgKey: org.orgKey.publicKey };
  const saveKeySet = async ({ epoch }: { readonly epoch: number }) => void saved.push(epoch);
  using channel = await openKnownChannel({ ...known, keySet: { ...keySet, epoch: 0 }, saveKeySet });
  expect(saved).toEqual([]);
  expect(await channel.learnKeySet(1)).toEqual(keySet);
  expect(saved).toEqual([1]);
  await expect(channel.learnKeySet(2)).rejects.toMatchObject({ code: "server.untrusted" });
  expect(saved).toEqual([1]);
});
