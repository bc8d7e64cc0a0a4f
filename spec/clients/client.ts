import type { World } from "@gatehouse/testbed";
import type { ClientService } from "./services.ts";

/** What docs/reference/clients.md says of a client, but for its version. */
export interface ClientRow {
  readonly name: string;
  /** Where the credential stands. */
  readonly authentication: string;
  /** What the script exercises. */
  readonly exercised: string;
  /** What a user has to know. */
  readonly notes?: string;
}

/** One program that is run as its users run it, and what it must do. */
export interface Client extends ClientRow {
  /** Paths that it is made of or built with; where one is missing, it is skipped. */
  readonly needs: readonly string[];
  readonly service: (place: ServicePlace) => Promise<ClientService>;
  /** Installs or builds what is not there yet. */
  readonly use: (service: ClientService) => ClientUse | Promise<ClientUse>;
  /** What the client says when the service answers 401. */
  readonly unauthorised: RegExp;
  /** What it says when the gate refuses the host. */
  readonly refused: RegExp;
}

/** What a service is opened for. */
export interface ServicePlace {
  readonly world: World;
  /** The loopback address at which the gate finds a real name. */
  readonly addressOf: (name: string) => string;
}

/** How a client is used in a sandbox. */
export interface ClientUse {
  /** A shell command that prints the version in its first line, as the first number with a dot. */
  readonly version: string;
  /**
   * POSIX shell under `set -e`, in an empty directory. Ends with 0 only when the client was let in and got what it came
   * for. A program that prints `searchable` then waits for the end of its input, so that its memory is searched too.
   */
  readonly script: string;
  /** Directories that the sandbox sees beside its workspace. */
  readonly mounts?: readonly string[];
  /** Variables that the client insists on where no grant sets them. */
  readonly ownAuthentication?: Readonly<Record<string, string>>;
}
