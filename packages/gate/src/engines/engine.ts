/** A container as its engine lists it. */
export interface EngineContainer {
  readonly id: string;
  /** Without a slash in front. */
  readonly names: readonly string[];
  /** `live`: made and not over yet, paused included. `failing`: its engine cannot say. */
  readonly state: "live" | "ended" | "failing";
  /** Its own addresses in the engine's networks; none where it has none or shares the host's. */
  readonly addresses: readonly string[];
}

/** What runs containers on this host. It is asked and listened to, never told to do anything. */
export interface Engine {
  /** For logs. */
  readonly name: string;
  /** Whether there is anything to ask. */
  isThere(): Promise<boolean>;
  /** Every container, ended ones included. Fails when the engine does not answer: then nothing is known. */
  listContainers(signal: AbortSignal): Promise<readonly EngineContainer[]>;
  /** One item whenever a container changed, until the signal aborts or the engine goes. */
  events(signal: AbortSignal): AsyncIterable<unknown>;
}
