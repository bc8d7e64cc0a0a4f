import { Problem, type Secret } from "@gatehouse/core";
import type { CredentialInfo, CredentialStore } from "../credentials/credential-store.ts";
import type { FleetVault } from "./fleet-vault.ts";

/** What runs may be granted. */
export interface GrantedCredentials {
  list(): readonly CredentialInfo[];
  get(name: string): CredentialInfo | undefined;
  /** Fails with `grants.not_found`, `credentials.unreadable`. */
  require(name: string): CredentialInfo;
  reveal(name: string): Promise<Secret>;
  revealReplaced(name: string): Promise<readonly Secret[]>;
}

/**
 * The node's own credentials and the organisation's. A name that both have is the node's own: what a person put there
 * is not exchanged from outside. `hidden` says which of the organisation's are not served for that.
 */
export class AllCredentials implements GrantedCredentials {
  readonly #own: CredentialStore;
  readonly #fleet: FleetVault;

  constructor(own: CredentialStore, fleet: FleetVault) {
    this.#own = own;
    this.#fleet = fleet;
  }

  get hidden(): readonly string[] {
    return this.#fleet.list().flatMap(({ name }) => (this.#own.has(name) ? [name] : []));
  }

  list(): readonly CredentialInfo[] {
    return [...this.#own.list(), ...this.#fleet.list().filter(({ name }) => !this.#own.has(name))];
  }

  get(name: string): CredentialInfo | undefined {
    return this.#own.has(name) ? this.#own.get(name) : this.#fleet.get(name);
  }

  require(name: string): CredentialInfo {
    const served = this.get(name);
    if (served !== undefined) return served;
    const refused = this.#fleet.refused.find((one) => one.name === name);
    if (refused === undefined || this.#own.has(name)) return this.#own.require(name);
    const detail = `${name} is not served on this node. ${refused.problem.message}`;
    throw new Problem("grants.not_found", { detail });
  }

  reveal(name: string): Promise<Secret> {
    return this.#isFleets(name) ? this.#fleet.reveal(name) : this.#own.reveal(name);
  }

  async revealReplaced(name: string): Promise<readonly Secret[]> {
    // What the organisation replaced is known to runs that had it, which go on looking for it.
    return this.#isFleets(name) ? [] : this.#own.revealReplaced(name);
  }

  #isFleets(name: string): boolean {
    return !this.#own.has(name) && this.#fleet.get(name) !== undefined;
  }
}
