// Runs for a moment inside a sandbox's network namespace: opens its only listener and hands it to the keeper.
import { createServer, type Server } from "node:net";
import { native } from "@gatehouse/kit";
import { SANDBOX_GATE_PORT } from "../sandbox/driver.ts";

const BACKLOG = 4_096;

/** The handle under a listening server. Sent as it is, the receiver holds the descriptor without accepting on it. */
interface WithHandle extends Server {
  readonly _handle?: unknown;
}

if (native.available) native.bringLoopbackUp();
const server: WithHandle = createServer();
server.listen({ host: "127.0.0.1", port: SANDBOX_GATE_PORT, backlog: BACKLOG }, () => {
  process.send?.({ listening: true }, server._handle as Server, {}, () => process.disconnect());
  process.once("disconnect", () => server.close());
});
