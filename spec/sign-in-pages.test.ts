import { type Fleet, startFleet } from "@gatehouse/testbed";
import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openChromium } from "./chromium.ts";

const PASSWORD = "correct horse battery staple";
/** Answers to what a person got wrong are failures to a browser. */
const EXPECTED = /^Failed to load resource: the server responded with a status of 4\d\d/;

const WARNS: ReadonlySet<string> = new Set(["error", "warning"]);

let fleet: Fleet;
let browser: Browser;

beforeAll(async () => {
  fleet = await startFleet();
  // By its own authority, as the guide says; nothing is ignored.
  browser = await openChromium(fleet.path("chromium"), fleet.path("s", "server", "keys", "tls-ca.pem"));
});

afterAll(async () => {
  await browser.close();
  await fleet[Symbol.asyncDispose]();
});

/** A window of somebody's own, and what the browser complained of or asked of others. */
async function openWindow() {
  const context = await browser.newContext({ viewport: { width: 360, height: 720 } });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (said) => {
    if (WARNS.has(said.type()) && !EXPECTED.test(said.text())) complaints.push(said.text());
  });
  page.on("pageerror", (failure) => complaints.push(String(failure)));
  page.on("request", (asked) => {
    if (new URL(asked.url()).origin !== fleet.url) complaints.push(`asked ${asked.url()}`);
  });
  return { page, complaints };
}

/** What makes a page hard to use, in light and in dark, on a narrow screen. */
async function faultsOf(page: Page): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>(
      "axe.run()",
    );
    faults.push(...violations.map(({ id, nodes }) => `${colorScheme} ${id}: ${nodes[0]?.html ?? ""}`));
  }
  const overflow = await page.evaluate<number>("document.documentElement.scrollWidth - window.innerWidth");
  return overflow > 0 ? [...faults, `${overflow} pixels too wide`] : faults;
}

/** Types where the page itself has put the focus, which must be here. */
async function type(page: Page, label: string, text: string, key: "Tab" | "Enter"): Promise<void> {
  await page.getByLabel(label, { exact: true }).and(page.locator(":focus")).waitFor();
  await page.keyboard.type(text);
  await page.keyboard.press(key);
}

async function choose(page: Page, password: string): Promise<void> {
  await type(page, "New password", password, "Tab");
  await type(page, "New password again", password, "Enter");
}

test("an owner is set up, signs in and lets a machine act, in a real browser with the keyboard alone, and every page is fit for all", async () => {
  const made = ["--server", fleet.url, "--setup-code-file", fleet.path("s", "setup-code")];
  const init = await fleet.run([
    "org",
    "init",
    ...made,
    "--org",
    "acme",
    "--owner",
    "ada",
    "--state-dir",
    fleet.path("o"),
  ]);
  const [link = ""] = /https:\S+\/join\S+/.exec(init.stdout) ?? [];
  const { page, complaints } = await openWindow();
  await page.goto(link);
  expect(await faultsOf(page)).toEqual([]);
  await choose(page, "aaaaaaaaaaaaaaaaaaaa");
  await page.getByRole("alert").waitFor();
  expect(await page.getByRole("alert").textContent()).toContain("again and again");
  expect(await faultsOf(page)).toEqual([]);
  await choose(page, PASSWORD);
  await page.waitForURL(`${fleet.url}/account`);
  expect(await page.getByRole("main").textContent()).toContain("You are ada, with the role owner.");
  expect(await faultsOf(page)).toEqual([]);
  await page.getByRole("button", { name: "Sign out of this browser" }).press("Enter");
  await page.getByRole("heading", { name: "Signed out" }).waitFor();

  const { pin } = await fleet.operator(["org", "pin"]);
  const own = ["--state-dir", fleet.path("laptop")];
  const login = fleet.start(["login", "--server", fleet.url, "--pin", pin, ...own, "--json"]);
  const asked = JSON.parse(await login.line("the code", (line) => line.includes("user_code")));
  await page.goto(asked.verification_uri);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  expect(await faultsOf(page)).toEqual([]);
  await type(page, "Organisation", "acme", "Tab");
  await type(page, "Name", "ada", "Tab");
  await type(page, "Password", "a wrong password", "Enter");
  await page.getByRole("alert").waitFor();
  expect(await faultsOf(page)).toEqual([]);
  await type(page, "Password", PASSWORD, "Enter");
  await page.waitForURL(`${fleet.url}/device`);
  expect(await faultsOf(page)).toEqual([]);
  await type(page, "Code", asked.user_code, "Enter");
  await page.getByRole("heading", { name: "Is this your machine?" }).waitFor();
  expect(await faultsOf(page)).toEqual([]);
  await page.getByRole("button", { name: "Allow" }).press("Enter");
  await page.getByRole("heading", { name: "Allowed" }).waitFor();
  expect(await faultsOf(page)).toEqual([]);
  expect(JSON.parse(await login.line("the login", (line) => line.includes("logged_in")))).toMatchObject({
    member: "ada",
  });
  expect(complaints).toEqual([]);
});

test("another window is signed out from the account's page, and a page of another site cannot sign anybody in", async () => {
  const { page, complaints } = await openWindow();
  const signIn = async (at: Page) => {
    await at.goto(`${fleet.url}/sign-in?org=acme`);
    await type(at, "Name", "ada", "Tab");
    await type(at, "Password", PASSWORD, "Enter");
    await at.waitForURL(`${fleet.url}/account`);
  };
  await signIn(page);
  const other = await openWindow();
  await signIn(other.page);
  await page.reload();
  expect(await faultsOf(page)).toEqual([]);
  await page
    .getByRole("button", { name: /^Sign out Chrome on Linux/ })
    .first()
    .click();
  await page.getByRole("status").waitFor();
  // Who knows the server's name alone finds the way.
  await other.page.goto(fleet.url);
  expect(other.page.url()).toBe(`${fleet.url}/sign-in`);
  const foreign = `<form method="post" action="${fleet.url}/sign-in"><input name="org" value="acme"><input name="name" value="ada">
    <input name="password" value="${PASSWORD}"><button>Go</button></form>`;
  await other.page.goto(`data:text/html,${encodeURIComponent(foreign)}`);
  await other.page.getByRole("button").click();
  await other.page.getByRole("heading", { name: "That did not work" }).waitFor();
  await other.page.goto(`${fleet.url}/account`);
  expect(other.page.url()).toBe(`${fleet.url}/sign-in`);
  expect(complaints).toEqual([]);
});
