import { expect, test } from "vitest";
import { DATABASES } from "./databases.ts";
import { FleetUnderTest, refused } from "./fleet-under-test.ts";
import { SessionUnderTest } from "./stream-under-test.ts";

const HEARTBEAT = { heartbeat: { sentAt: 1n, health: 1 } };

test.each(DATABASES)(
  "a proof counts once on $name, at whichever replica and after a restart",
  async ({ open, name }) => {
    await using database = await open();
    await using a = await FleetUnderTest.open(database.location);
    const more = { directory: a.directory, url: a.server.url };
    const org = await a.createOrg("acme");
    const session = await SessionUnderTest.open(await org.enroll("n1"));
    const [first, second] = [await session.proofOf("UploadHeartbeat"), await session.proofOf("UploadHeartbeat")];
    await a.gateway.uploadHeartbeat(HEARTBEAT, first);
    await expect(a.gateway.uploadHeartbeat(HEARTBEAT, first)).rejects.toEqual(refused("auth.refused"));
    // The embedded database has one server at a time.
    if (name !== "PostgreSQL") await a.stop();
    await using b = await FleetUnderTest.open(database.location, more);
    await expect(b.gateway.uploadHeartbeat(HEARTBEAT, first)).rejects.toEqual(refused("auth.refused"));
    // The control: another one by the same key counts there, once.
    await b.gateway.uploadHeartbeat(HEARTBEAT, second);
    await expect(b.gateway.uploadHeartbeat(HEARTBEAT, second)).rejects.toEqual(refused("auth.refused"));
  },
);
