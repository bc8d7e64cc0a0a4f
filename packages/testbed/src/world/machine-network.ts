import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { ListeningHandle } from "../services/loopback-server.ts";
import { runProcess } from "../system/run-process.ts";
import { Machine } from "./machine.ts";

/** Set apart for documentation (RFC 5737): nobody's addresses. */
const ADDRESSES = "198.51.100";
const FIRST = 10;
const LISTEN = `const server = require("node:net").createServer();
process.once("disconnect", () => server.close());
server.listen({ host: process.argv[1], port: 0 }, () => process.send(server.address().port, server._handle));`;

/** A machine in a network namespace of its own. */
export interface NetworkMachine extends Machine {
  readonly address: string;
  /** Opens a port on this machine that a server in the test's process accepts on. */
  listen(): Promise<ListeningHandle>;
}

/**
 * Machines that reach one another, and nothing else: a network namespace each, joined by a bridge that is in one of its
 * own. Nothing of it is in the namespace of whoever runs the test. Disposing removes it all.
 */
export class MachineNetwork implements AsyncDisposable {
  readonly #directory: string;
  readonly #namespaces: string[] = [];
  readonly #machines: Machine[] = [];

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(): Promise<MachineNetwork> {
    const network = new MachineNetwork(await mkdtemp(join(tmpdir(), "gh-net-")));
    try {
      const bridge = await network.#addNamespace("bridge");
      await ip(["-n", bridge, "link", "add", "bridge", "type", "bridge"]);
      await ip(["-n", bridge, "link", "set", "bridge", "up"]);
      return network;
    } catch (failure) {
      await network[Symbol.asyncDispose]();
      throw failure;
    }
  }

  /** Adds a machine, reachable when this returns. */
  async add(name: string): Promise<NetworkMachine> {
    const [bridge = ""] = this.#namespaces;
    const own = await this.#addNamespace(name);
    const address = `${ADDRESSES}.${FIRST + this.#namespaces.length}`;
    const port = `to-${name}`;
    await ip(["-n", bridge, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", own]);
    await ip(["-n", bridge, "link", "set", port, "master", "bridge", "up"]);
    await ip(["-n", own, "address", "add", `${address}/24`, "dev", "eth0"]);
    for (const device of ["lo", "eth0"]) await ip(["-n", own, "link", "set", device, "up"]);
    const enter = `--net=/run/netns/${own}`;
    const machine = await Machine.open(join(this.#directory, name), ["nsenter", enter]);
    this.#machines.push(machine);
    return Object.assign(machine, { address, listen: () => listenInside(enter, address) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of this.#machines) await machine[Symbol.asyncDispose]();
    for (const namespace of this.#namespaces) await ip(["netns", "delete", namespace]);
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #addNamespace(name: string): Promise<string> {
    const namespace = `${basename(this.#directory)}-${name}`;
    await ip(["netns", "add", namespace]);
    this.#namespaces.push(namespace);
    return namespace;
  }
}

/** A process opens the port where it belongs and sends the descriptor here. */
async function listenInside(enter: string, address: string): Promise<ListeningHandle> {
  const opener = fork("-e", [LISTEN, address], { execPath: "nsenter", execArgv: [enter, process.execPath] });
  const [port, handle] = (await once(opener, "message")) as [number, object];
  opener.disconnect();
  return { port, handle };
}

async function ip(args: readonly string[]): Promise<void> {
  const { code, stderr } = await runProcess("ip", args);
  if (code !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr}`);
}
