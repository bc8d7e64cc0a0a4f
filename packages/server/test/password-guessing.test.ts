import { ScriptedBrowser } from "@gatehouse/testbed";
import { Role } from "@gatehouse/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest } from "./fleet-under-test.ts";
import { KNOWN_BROWSER, PeopleUnderTest, WRONG_PASSWORD } from "./people-under-test.ts";
import { auditEntries, storedRows } from "./stored-rows.ts";

const WAIT_MS = 90_000;
/** Of failures, before a network must wait. */
const BURST = 20;

let database: TestDatabase;
let fleet: FleetUnderTest;
let org: OrgUnderTest;
let people: PeopleUnderTest;

// What is counted and hashed is the same whatever database lies below.
beforeAll(async () => {
  database = await DATABASES[0].open();
  fleet = await FleetUnderTest.open(database.location, { hasPasswords: true });
  org = await fleet.createOrg("acme");
  people = new PeopleUnderTest(fleet, org);
  await people.choose(new ScriptedBrowser(), await people.invite("ada"));
});

afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const sessions = () => storedRows(database.location, org.orgId, "member_sessions");

test(
  "an unknown organisation, an unknown name, somebody without a password and a wrong one are one answer, in one time",
  async () => {
    await org.org.addMember({ name: "dora", role: Role.OWNER }, org.headers);
    const before = await sessions();
    const answers: string[] = [];
    const times: number[] = [];
    for (const form of [
      { name: "ada", password: WRONG_PASSWORD },
      { name: "ada", password: "" },
      { name: "dora" },
      { name: "nobody" },
      { name: "ada", org: "elsewhere" },
      { name: "ADA" },
      { name: "__proto__", org: "__proto__" },
    ]) {
      const began = performance.now();
      const { status, text, headers } = await people.signIn(new ScriptedBrowser(), form);
      times.push(performance.now() - began);
      const typed = [form.name, form.org ?? "acme"].reduce((rest, one) => rest.replaceAll(`value="${one}"`, ""), text);
      answers.push(JSON.stringify([status, typed, Object.keys(headers).sort()]));
      expect(headers["set-cookie"]).toBeUndefined();
    }
    expect(new Set(answers).size, answers.join("\n")).toBe(1);
    expect(answers[0]).toContain("do not fit together");
    for (const ms of times) expect(ms).toBeGreaterThanOrEqual(490);
    expect(await sessions()).toEqual(before);
    const refusals = (await auditEntries(database.location, org.orgId)).filter(
      ({ kind }) => kind === "sign_in.refused",
    );
    expect(refusals.map(({ data }) => (data as { member: string | null }).member)).toEqual([
      "ada",
      "ada",
      "dora",
      null,
      null,
    ]);
  },
  WAIT_MS,
);

test(
  "who guesses must wait, and keeps nobody else out: not from elsewhere, not in a browser where they were before",
  async () => {
    const own = await people.addMember("emil");
    await own.visit(people.at("/sign-out"), { form: {} });
    const attacker = { from: "127.0.0.66" };
    const guess = () => people.signIn(new ScriptedBrowser(), { name: "emil", password: WRONG_PASSWORD }, attacker);
    const answers = await Promise.all(Array.from({ length: 3 * BURST }, guess));
    const count = (wanted: number) => answers.filter(({ status }) => status === wanted).length;
    expect({ wrong: count(401), waiting: count(429) }).toEqual({ wrong: BURST, waiting: 2 * BURST });
    // Also with the right password now.
    expect((await people.signIn(new ScriptedBrowser(), { name: "emil" }, attacker)).status).toBe(429);
    expect((await people.signIn(new ScriptedBrowser(), { name: "emil" }, { from: "127.0.0.67" })).url).toBe(
      people.at("/account"),
    );
    expect((await people.signIn(own, { name: "emil" }, attacker)).headers.location).toBeUndefined();
    expect(await people.isIn(own)).toBe(true);
    // The cookie of one member is none for another, and one that was made up is none.
    const stolen = own.cookies(fleet.server.url).get(KNOWN_BROWSER) ?? "";
    for (const [name, cookie] of [
      ["ada", stolen],
      ["emil", `${stolen.slice(0, -1)}${stolen.endsWith("A") ? "B" : "A"}`],
    ] as const) {
      const browser = new ScriptedBrowser();
      browser.setCookie(fleet.server.url, KNOWN_BROWSER, cookie);
      expect((await people.signIn(browser, { name }, attacker)).status).toBe(429);
    }
    fleet.clock.advance(60_000);
    expect((await people.signIn(new ScriptedBrowser(), { name: "emil" }, attacker)).url).toBe(people.at("/account"));
  },
  WAIT_MS,
);

test(
  "what succeeds costs nothing",
  async () => {
    const from = { from: "127.0.0.68" };
    for (let turn = 0; turn <= BURST; turn += 1) {
      expect((await people.signIn(new ScriptedBrowser(), { name: "ada" }, from)).url).toBe(people.at("/account"));
    }
  },
  WAIT_MS,
);

test(
  "guesses from everywhere at once wait for one another, beyond that they are refused; a known browser does not wait for them",
  async () => {
    const own = await people.addMember("nora");
    const guess = (at: number) => {
      const form = { name: "nora", password: WRONG_PASSWORD };
      return people.signIn(new ScriptedBrowser(), form, { from: `127.0.3.${at + 1}` });
    };
    const guesses = Promise.all(Array.from({ length: 60 }, (_, at) => guess(at)));
    const first = await Promise.race([guesses, people.signIn(own, { name: "nora" })]);
    expect(first).toMatchObject({ url: people.at("/account") });
    const statuses = (await guesses).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
  },
  WAIT_MS,
);
