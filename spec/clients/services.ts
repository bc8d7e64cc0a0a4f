import { request } from "node:https";
import type { FakeApi, World } from "@gatehouse/testbed";
import type { ServicePlace } from "./client.ts";

/** An outside service that lets in who shows the planted value, and a run's right to use it. */
export interface ClientService extends AsyncDisposable {
  /** Without a slash at its end. */
  readonly origin: string;
  readonly grants: readonly string[];
  /** Path of a policy that allows the service on loopback. */
  readonly policy: string;
  /** The planted credential. */
  readonly value: string;
  /** TCP connections so far. */
  readonly connections: number;
  /** Requests that carried the planted value where it belongs. */
  readonly authorised: number;
  /** Requests that carried none. */
  readonly unauthorised: number;
  /** Requests that carried anything else there. */
  readonly strays: number;
  /** The status of a request without the value, asked of the service itself. */
  statusWithout(): Promise<number>;
}

interface Opened {
  readonly place: ServicePlace;
  readonly fake: AsyncDisposable & { readonly port: number; readonly connections: number };
  readonly name: string;
  readonly value: string;
  readonly grants: readonly string[];
  /** The header in which the value must stand, of every request in order. */
  readonly shown: () => readonly (string | undefined)[];
  readonly expects: string;
}

/** A fake, as a service that clients are driven against. */
export async function serve({ place, fake, name, value, grants, shown, expects }: Opened): Promise<ClientService> {
  const host = `${name}:${fake.port}`;
  const { world, addressOf } = place;
  return {
    origin: fake.port === 443 ? `https://${name}` : `https://${host}`,
    grants,
    policy: await world.allowServices(host),
    value,
    get connections() {
      return fake.connections;
    },
    get authorised() {
      return shown().filter((header) => header === expects).length;
    },
    get unauthorised() {
      return shown().filter((header) => header === undefined).length;
    },
    get strays() {
      return shown().filter((header) => header !== undefined && header !== expects).length;
    },
    statusWithout: () => askWithout(world, { address: addressOf(name), port: fake.port, name }),
    [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose](),
  };
}

function askWithout(
  world: World,
  { address, port, name }: { readonly address: string; readonly port: number; readonly name: string },
): Promise<number> {
  const { certificatePem: ca } = world.authority;
  return new Promise((resolve, reject) => {
    const sent = request({ host: address, port, servername: name, ca, agent: false, path: "/" });
    sent.once("error", reject);
    sent.once("response", (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    });
    sent.end();
  });
}

/** `Authorization` of every request in order. */
export const shownIn = (api: FakeApi) => () => api.requests.map(({ headers }) => headers.authorization);
