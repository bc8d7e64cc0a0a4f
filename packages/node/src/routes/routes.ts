import type { Log, Route } from "@gatehouse/kit";
import { openRouteProxy, type RouteProxy } from "./route-proxy.ts";
import { RouteTable } from "./route-table.ts";

export interface RoutesOptions {
  readonly stateDir: string;
  readonly port: number;
  readonly mayMove: boolean;
  /** Port of the gate, which is known once it serves. */
  readonly gatePort: () => number;
  readonly log: Log;
}

/** The routes and their listener, which is opened with the first route and not before. */
export class Routes implements AsyncDisposable {
  readonly #options: RoutesOptions;
  readonly #table: RouteTable;
  #proxy: Promise<RouteProxy> | undefined;
  #port: number | undefined;

  private constructor(options: RoutesOptions, table: RouteTable) {
    this.#options = options;
    this.#table = table;
  }

  /** Reads what was registered. Fails with `config.port_busy` when there is something to serve and no port for it. */
  static async open(options: RoutesOptions): Promise<Routes> {
    let routes: Routes | undefined;
    const table = await RouteTable.open(
      options.stateDir,
      (port) => port === options.gatePort() || port === routes?.port,
    );
    routes = new Routes(options, table);
    await routes.resume();
    return routes;
  }

  /** Of the listener; `undefined` while there is none. */
  get port(): number | undefined {
    return this.#port;
  }

  /** `POST`, `DELETE /v1/routes/{agent}`, `GET /v1/routes`. */
  api(): readonly Route[] {
    return [
      {
        method: "GET",
        path: "/v1/routes",
        handle: () => ({ status: 200, body: { port: this.#port, agents: describe(this.#table) } }),
      },
      {
        method: "POST",
        path: "/v1/routes/{agent}",
        handle: async ({ params, body }) => {
          await this.#listen();
          await this.#table.put(params.agent ?? "", body);
          return { status: 204 };
        },
      },
      {
        method: "DELETE",
        path: "/v1/routes/{agent}",
        handle: async ({ params }) => {
          await this.#table.delete(params.agent ?? "");
          return { status: 204 };
        },
      },
    ];
  }

  async #listen(): Promise<void> {
    const { port, mayMove, log } = this.#options;
    this.#proxy ??= openRouteProxy({ table: this.#table, port, mayMove });
    try {
      const proxy = await this.#proxy;
      if (this.#port !== undefined) return;
      this.#port = proxy.port;
      log.info("routes are served", { url: `http://localhost:${proxy.port}/` });
    } catch (failure) {
      this.#proxy = undefined;
      throw failure;
    }
  }

  /** Closes the listener, so that a successor has the port. */
  async pause(): Promise<void> {
    const proxy = this.#proxy;
    this.#proxy = undefined;
    this.#port = undefined;
    await (await proxy)?.[Symbol.asyncDispose]();
  }

  async resume(): Promise<void> {
    if (this.#table.agents.size > 0) await this.#listen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pause();
  }
}

function describe(table: RouteTable): object {
  return Object.fromEntries([...table.agents].map(([agent, services]) => [agent, [...services.keys()]]));
}
