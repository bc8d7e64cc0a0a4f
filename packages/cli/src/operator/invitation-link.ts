import { Problem } from "@gatehouse/core";
import type { Operator } from "./open-operator.ts";

/** A link by which a member chooses a password. Whoever has it becomes them: it is shown once. */
export interface InvitationLink {
  readonly url: string;
  readonly expiresAt: string;
}

export interface InviteInput {
  readonly name: string;
  readonly ttlMs: number;
  readonly isReset: boolean;
}

/** Where a member chooses a password. */
export function joinUrl(origin: string, code: string): string {
  return `${origin}/join?code=${code}`;
}

const CODE_FORM = /^[A-Za-z0-9_-]{43}$/;

/** Asks the server for a link. It leads to the server that this machine knows, whatever was answered. */
export async function inviteTo({ org, server }: Operator, input: InviteInput): Promise<InvitationLink> {
  const { name, ttlMs, isReset: reset } = input;
  const { code, expiresAt } = await org.inviteMember({ name, ttlMs: BigInt(ttlMs), reset });
  if (!CODE_FORM.test(code)) throw new Problem("server.untrusted", { detail: "Its answer holds no code." });
  return { url: joinUrl(server.url, code), expiresAt: new Date(Number(expiresAt)).toISOString() };
}
