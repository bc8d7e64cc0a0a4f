import { base64url, pinTuple } from "@gatehouse/core";
import { ScriptedBrowser, type Visited, type VisitOptions } from "@gatehouse/testbed";
import { Role } from "@gatehouse/wire";
import { type FleetUnderTest, hash, type OrgUnderTest } from "./fleet-under-test.ts";

export const PASSWORD = "correct horse battery staple";
export const WRONG_PASSWORD = "wrong donkey charger clip";
export const SESSION = "__Host-gatehouse-session";
export const KNOWN_BROWSER = "__Host-gatehouse-known";

export interface SignInForm {
  readonly name: string;
  readonly password?: string;
  readonly org?: string;
}

/** The people of an organisation in their browsers. */
export class PeopleUnderTest {
  readonly #fleet: FleetUnderTest;
  readonly #org: OrgUnderTest;

  constructor(fleet: FleetUnderTest, org: OrgUnderTest) {
    this.#fleet = fleet;
    this.#org = org;
  }

  at(path: string): string {
    return `${this.#fleet.server.url}${path}`;
  }

  /** The code of a link. */
  async invite(name: string, reset = false): Promise<string> {
    return (await this.#org.org.inviteMember({ name, reset }, this.#org.headers)).code;
  }

  choose(browser: ScriptedBrowser, code: string, next = PASSWORD, again = next): Promise<Visited> {
    return browser.visit(this.at("/join"), { form: { code, next, again } });
  }

  signIn(browser: ScriptedBrowser, form: SignInForm, more: VisitOptions = {}): Promise<Visited> {
    return browser.visit(this.at("/sign-in"), { form: { org: "acme", password: PASSWORD, ...form }, ...more });
  }

  /** Lets a machine act for whoever is signed in there; the code with which it fetches its key. */
  async approveMachine(browser: ScriptedBrowser): Promise<string> {
    const tuple = pinTuple(this.#fleet.serverKey, this.#org.orgId, this.#org.orgKey.publicKey);
    const pin = base64url(hash(tuple).subarray(0, 16));
    const form = { client_id: "gatehouse-cli", pin, machine: "laptop" };
    const asked = await new ScriptedBrowser().visitOnce(this.at("/oauth/device_authorization"), { form });
    const { device_code: deviceCode, user_code } = JSON.parse(asked.text);
    await browser.visitOnce(this.at("/device/decide"), { form: { user_code, decision: "approve" } });
    return deviceCode;
  }

  /** What the machine is answered. */
  async fetchKey(deviceCode: string): Promise<unknown> {
    const grant_type = "urn:ietf:params:oauth:grant-type:device_code";
    const form = { client_id: "gatehouse-cli", grant_type, device_code: deviceCode };
    return JSON.parse((await new ScriptedBrowser().visitOnce(this.at("/oauth/token"), { form })).text);
  }

  async isIn(browser: ScriptedBrowser): Promise<boolean> {
    return (await browser.visitOnce(this.at("/account"))).status === 200;
  }

  /** A member with the password, and the browser in which they chose it. */
  async addMember(name: string, role = Role.VIEWER): Promise<ScriptedBrowser> {
    await this.#org.org.addMember({ name, role }, this.#org.headers);
    const browser = new ScriptedBrowser();
    await this.choose(browser, await this.invite(name));
    return browser;
  }

  /** What a page of ours sends along when it calls. */
  session(browser: ScriptedBrowser): { readonly headers: Record<string, string> } {
    const token = browser.cookies(this.#fleet.server.url).get(SESSION);
    return { headers: { Cookie: `${SESSION}=${token}`, Origin: this.#fleet.server.url } };
  }
}
