import { existsSync } from "node:fs";
import { startProgram } from "../../process.ts";
import { asProxy, type OpenPeer } from "./peer.ts";

/** No peer: the generator asks the origin itself. */
export const openDirect: OpenPeer = ({ originPort, host, caFile }) =>
  Promise.resolve({
    name: "direct",
    way: { proxyPort: 0, proxyTokens: [], originPort, host, caFile },
    process: undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });

/** A program of this folder, told where the authority is. */
function program(name: string, file: string): OpenPeer {
  return async (bench) => {
    const started = await startProgram(new URL(file, import.meta.url), [bench.caFile, bench.caKeyFile]);
    const peer = asProxy(bench, name, started, Number(started.ready.port));
    const { caFile } = started.ready;
    // One that signs with an authority of its own says where it is.
    return typeof caFile === "string" ? { ...peer, way: { ...peer.way, caFile } } : peer;
  };
}

export const openRelay = program("relay", "./relay.ts");
export const openNodeHttp = program("node:http", "./node-http.ts");

/** Packages of others, installed beside the workspaces; absent where they were not. */
export const OUTSIDE: Readonly<Record<string, OpenPeer>> = {
  undici: program("undici", "./undici.ts"),
  mockttp: program("mockttp", "./mockttp.ts"),
  "http-mitm-proxy": program("http-mitm-proxy", "./http-mitm-proxy.ts"),
};

/** Whether `npm install` was run in the folder of their manifest. */
export function hasOutside(name: string): boolean {
  return existsSync(new URL(`../outside/node_modules/${name}`, import.meta.url));
}
