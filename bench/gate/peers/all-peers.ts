import { openGate } from "./gate.ts";
import { INSTALLED } from "./installed.ts";
import type { OpenPeer } from "./peer.ts";
import { hasOutside, OUTSIDE, openDirect, openNodeHttp, openRelay } from "./programs.ts";

/** Everything that can be measured here, in the order of the rounds. Says why a peer is left out. */
export function availablePeers(): Readonly<Record<string, OpenPeer>> {
  const peers: Record<string, OpenPeer> = { ...ownPeers(), "node:http": openNodeHttp };
  for (const [name, { open, isHere, hint }] of Object.entries(INSTALLED)) {
    if (isHere()) peers[name] = open;
    else console.log(`without ${name}: not installed (${hint})`);
  }
  for (const [name, open] of Object.entries(OUTSIDE)) {
    if (hasOutside(name)) peers[name] = open;
    else console.log(`without ${name}: npm install --ignore-scripts --prefix bench/gate/outside`);
  }
  return peers;
}

/** What every machine has. */
export function ownPeers(): Readonly<Record<string, OpenPeer>> {
  return { direct: openDirect, relay: openRelay, gate: openGate };
}
