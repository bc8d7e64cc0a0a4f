import { hostname } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { base64url, Problem, Secret } from "@gatehouse/core";
import type { FormAnswer, ServerChannel } from "@gatehouse/kit";

/** What a person has to do meanwhile. */
export interface AwaitedApproval {
  readonly verificationUri: string;
  readonly userCode: string;
  readonly expiresAt: number;
}

export interface DeviceLoginOptions {
  readonly pin: Uint8Array;
  readonly show: (awaited: AwaitedApproval) => void;
  readonly signal: AbortSignal;
}

const CLIENT_ID = "gatehouse-cli";
const GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code";
const SLOW_DOWN_BY_S = 5;
const MAX_INTERVAL_S = 60;
const ENDINGS = { access_denied: "login.refused", expired_token: "login.expired" } as const;

/**
 * Asks the server for a key and waits until a person allowed it in a browser (RFC 8628). Fails with `login.refused`,
 * `login.expired`, `login.unavailable`, `auth.slow_down`, or the signal's reason.
 */
export async function loginByDevice(
  channel: ServerChannel,
  { pin, show, signal }: DeviceLoginOptions,
): Promise<Secret> {
  const asked = { client_id: CLIENT_ID, pin: base64url(pin), machine: machineName() };
  const begun = await channel.postForm("/oauth/device_authorization", asked);
  if (begun.status === 404 || errorOf(begun) === "invalid_request") throw new Problem("login.unavailable");
  if (begun.status === 429) throw new Problem("auth.slow_down");
  const deviceCode = textOf(begun, "device_code");
  const expiresAt = Date.now() + numberOf(begun, "expires_in") * 1_000;
  show({ verificationUri: textOf(begun, "verification_uri"), userCode: textOf(begun, "user_code"), expiresAt });
  return awaitKey(channel, { deviceCode, expiresAt, intervalS: numberOf(begun, "interval"), signal });
}

interface Waiting {
  readonly deviceCode: string;
  readonly expiresAt: number;
  readonly intervalS: number;
  readonly signal: AbortSignal;
}

async function awaitKey(channel: ServerChannel, { deviceCode, expiresAt, signal, ...asked }: Waiting): Promise<Secret> {
  const form = { client_id: CLIENT_ID, grant_type: GRANT_TYPE, device_code: deviceCode };
  for (let { intervalS } = asked; Date.now() < expiresAt; ) {
    await wait(Math.min(intervalS, MAX_INTERVAL_S) * 1_000, undefined, { signal });
    const polled = await channel.postForm("/oauth/token", form);
    if (polled.status === 200) return new Secret(textOf(polled, "access_token"));
    const error = errorOf(polled) ?? "";
    if (Object.hasOwn(ENDINGS, error)) throw new Problem(ENDINGS[error as keyof typeof ENDINGS]);
    if (error === "slow_down") intervalS += SLOW_DOWN_BY_S;
    else if (error !== "authorization_pending") throw unreadable();
  }
  throw new Problem("login.expired");
}

/** How the page names this machine: what is none of the letters of a host's name is left out. */
function machineName(): string {
  const name = hostname()
    .replace(/[^A-Za-z0-9._-]/g, "")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 63);
  return name === "" ? "machine" : name;
}

function fieldOf({ body }: FormAnswer, name: string): unknown {
  return typeof body === "object" && body !== null ? (body as Readonly<Record<string, unknown>>)[name] : undefined;
}

function errorOf(answer: FormAnswer): string | undefined {
  const error = fieldOf(answer, "error");
  return typeof error === "string" ? error : undefined;
}

function textOf(answer: FormAnswer, name: string): string {
  const value = fieldOf(answer, name);
  if (typeof value !== "string" || value === "") throw unreadable();
  return value;
}

function numberOf(answer: FormAnswer, name: string): number {
  const value = fieldOf(answer, name);
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) throw unreadable();
  return value;
}

function unreadable(): Problem {
  return new Problem("server.unreachable", { detail: "It answered in a way that is not known." });
}
