import { parseHostPattern } from "@gatehouse/core";
import { note } from "./print.ts";

const HTTP_PORT = 80;

/** Says of a credential's hosts which ones are asked in cleartext as a rule, where it is attached to nothing. */
export function noteCleartext(hosts: readonly string[]): void {
  const stated = hosts.filter((host) => parseHostPattern(host).port === HTTP_PORT);
  if (stated.length === 0) return;
  note(`A credential never goes into cleartext: requests to http://${stated.join(", http://")} go on without it.`);
}
