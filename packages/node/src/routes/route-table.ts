import { join } from "node:path";
import { Problem, parseAuthority } from "@gatehouse/core";
import { readPrivateFile, writeFileAtomic } from "@gatehouse/kit";
import * as z from "zod";

/** A service on this host's loopback that an agent's names lead to. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

export type Services = ReadonlyMap<string, Target>;

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const MAX_AGENTS = 1_000;
const MAX_SERVICES = 64;
const bodySchema = z.object({ services: z.record(z.string(), z.string().max(300)) });
const fileSchema = z.object({ version: z.literal(1), routes: z.record(z.string(), z.record(z.string(), z.string())) });

/** Which services agents have registered, kept in `routes.json`. Targets are loopback ports and nothing else. */
export class RouteTable {
  readonly #path: string;
  readonly #isOwnPort: (port: number) => boolean;
  #agents: ReadonlyMap<string, Services> = new Map();
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, isOwnPort: (port: number) => boolean) {
    this.#path = path;
    this.#isOwnPort = isOwnPort;
  }

  /** `isOwnPort`: ports that are Gatehouse's own, where no route may lead. An entry that does not hold is dropped. */
  static async open(stateDir: string, isOwnPort: (port: number) => boolean): Promise<RouteTable> {
    const table = new RouteTable(join(stateDir, "routes.json"), isOwnPort);
    const bytes = await readPrivateFile(table.#path);
    const stored = bytes === undefined ? undefined : parseFile(bytes);
    const agents = new Map<string, Services>();
    for (const [agent, services] of Object.entries(stored ?? {})) {
      try {
        agents.set(parseLabel(agent), table.#parseServices(services));
      } catch {
        // A tool registers its routes whenever it starts: one that cannot be read is simply not there.
      }
    }
    table.#agents = agents;
    return table;
  }

  get agents(): ReadonlyMap<string, Services> {
    return this.#agents;
  }

  find(agent: string): Services | undefined {
    return this.#agents.get(agent);
  }

  /** Replaces an agent's services. Fails with `api.malformed` or `routes.target_refused`; nothing has changed then. */
  async put(agent: string, body: unknown): Promise<void> {
    const parsed = bodySchema.safeParse(body);
    if (!parsed.success) throw malformed("services maps names to host:port");
    const name = parseLabel(agent);
    const services = this.#parseServices(parsed.data.services);
    if (this.#agents.size >= MAX_AGENTS && !this.#agents.has(name)) throw malformed("there are too many routes");
    await this.#change(new Map([...this.#agents, [name, services]]));
  }

  /** Unknown agents have nothing to delete. */
  async delete(agent: string): Promise<void> {
    const name = parseLabel(agent);
    if (this.#agents.has(name)) await this.#change(new Map([...this.#agents].filter(([one]) => one !== name)));
  }

  /** Durable before it counts. */
  async #change(agents: ReadonlyMap<string, Services>): Promise<void> {
    const before = this.#agents;
    this.#agents = agents;
    const write = this.#writing.then(() => writeFileAtomic(this.#path, render(agents)));
    this.#writing = write.catch(() => undefined);
    try {
      await write;
    } catch (failure) {
      if (this.#agents === agents) this.#agents = before;
      throw failure;
    }
  }

  #parseServices(written: Readonly<Record<string, string>>): Services {
    const entries = Object.entries(written);
    if (entries.length === 0 || entries.length > MAX_SERVICES) throw malformed("it has one to 64 services");
    return new Map(entries.map(([name, text]) => [parseLabel(name), this.#parseTarget(text)]));
  }

  #parseTarget(text: string): Target {
    const target = parseAuthority(text);
    if (target === undefined) throw malformed("a service is host:port");
    const host = target.host === "localhost" ? "127.0.0.1" : target.host;
    const isLoopback = host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
    if (!isLoopback) throw new Problem("routes.target_refused", { detail: "It is no port on this host's loopback." });
    if (this.#isOwnPort(target.port)) throw new Problem("routes.target_refused", { detail: "It is Gatehouse itself." });
    return { host, port: target.port };
  }
}

function parseLabel(text: string): string {
  const label = text.toLowerCase();
  if (!LABEL.test(label)) throw malformed("agents and services are named by one DNS label");
  return label;
}

function render(agents: ReadonlyMap<string, Services>): string {
  const text = ({ host, port }: Target) => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
  const routes = Object.fromEntries(
    [...agents].map(([agent, services]) => [
      agent,
      Object.fromEntries([...services].map(([name, target]) => [name, text(target)])),
    ]),
  );
  return JSON.stringify({ version: 1, routes });
}

function parseFile(bytes: Buffer): Readonly<Record<string, Readonly<Record<string, string>>>> | undefined {
  try {
    return fileSchema.parse(JSON.parse(bytes.toString())).routes;
  } catch {
    return undefined; // as for a single entry
  }
}

function malformed(detail: string): Problem {
  return new Problem("api.malformed", { detail: `${detail}.` });
}
