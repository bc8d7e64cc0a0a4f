import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createSecureContext } from "node:tls";
import { createCa, mintServerLeaf } from "@gatehouse/kit";

/** Names of the services that the demo opens itself, on loopback. */
export const ALLOWED_HOST = "api.demo.test";
export const DENIED_HOST = "other.demo.test";

/** A service that answers 401 without the credential, and with it says back what it was sent. */
export interface FakeService extends AsyncDisposable {
  readonly port: number;
  readonly caPem: string;
  /** Requests that reached it, by host name. */
  readonly seen: ReadonlyMap<string, number>;
}

const LEAF_TTL_MS = 86_400_000;

/** Opens the service on a free port of loopback with a CA of its own. */
export async function openFakeService(credential: string): Promise<FakeService> {
  const ca = await createCa({ commonName: "Gatehouse demo CA", days: 2, pathLength: 0 });
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const key = privateKey.export({ type: "pkcs8", format: "pem" });
  const leaf = (name: string) => mintServerLeaf({ ca, name, publicKey: spki, ttlMs: LEAF_TTL_MS });
  const certificates = new Map([
    [ALLOWED_HOST, await leaf(ALLOWED_HOST)],
    [DENIED_HOST, await leaf(DENIED_HOST)],
  ]);
  const seen = new Map<string, number>();
  const server = createServer(
    {
      key,
      cert: certificates.get(ALLOWED_HOST),
      SNICallback: (name, done) => done(null, createSecureContext({ key, cert: certificates.get(name) })),
    },
    (request, response) => {
      const host = (request.headers.host ?? "").split(":")[0] ?? "";
      seen.set(host, (seen.get(host) ?? 0) + 1);
      const given = request.headers.authorization ?? "";
      response.writeHead(given === `Bearer ${credential}` ? 200 : 401, {
        "content-type": "application/json",
        "x-you-sent": given,
      });
      response.end(`${JSON.stringify({ authenticated: given === `Bearer ${credential}`, you_sent: given })}\n`);
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    caPem: ca.certificatePem,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
