import { afterAll, beforeAll } from "vitest";
import type { TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OpenOptions, type OrgUnderTest } from "./fleet-under-test.ts";

/** What the tests of one `describe` share, there from before the first of them until after the last. */
export interface OrgOnDatabase {
  readonly database: TestDatabase;
  readonly fleet: FleetUnderTest;
  readonly org: OrgUnderTest;
}

/** An organisation, `acme`, on a server over a new database, for the tests of the `describe` in which it is called. */
export function orgOnDatabase(open: () => Promise<TestDatabase>, options?: OpenOptions): OrgOnDatabase {
  const stack = new AsyncDisposableStack();
  let there: OrgOnDatabase | undefined;
  const opened = () => {
    if (there === undefined) throw new Error("it is opened before the first test");
    return there;
  };
  beforeAll(async () => {
    const database = stack.use(await open());
    const fleet = stack.use(await FleetUnderTest.open(database.location, options));
    there = { database, fleet, org: await fleet.createOrg("acme") };
  });
  afterAll(() => stack.disposeAsync());
  return {
    get database() {
      return opened().database;
    },
    get fleet() {
      return opened().fleet;
    },
    get org() {
      return opened().org;
    },
  };
}
