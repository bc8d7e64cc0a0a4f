import { eventually, openBalancer, openPostgres, startFleet } from "@gatehouse/testbed";
import { median, quantile } from "../median.ts";
import type { Row } from "../row.ts";
import { openBenchOperator } from "./bench-operator.ts";
import { command } from "./command.ts";

const COMMANDS = 100;

/**
 * Two servers on one PostgreSQL, each in a process of its own: a daemon's stream stands at one of them, the commands are
 * given at the other.
 */
export async function measureReplicas(): Promise<readonly Row[]> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await openPostgres());
  const balancer = stack.use(await openBalancer());
  const fleet = stack.use(await startFleet({ databaseUrl: postgres.url(), url: `https://127.0.0.1:${balancer.port}` }));
  const other = await fleet.startReplica("b");
  balancer.pointTo(fleet.serverPort);
  await fleet.initOrg();
  const { nodeId } = await fleet.enrollHost("n1");
  const node = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
  await eventually("the node is connected", () => node.stderr.includes("connected to the server"), {
    timeoutMs: 30_000,
  });
  const measure = async (port: number) => {
    balancer.pointTo(port);
    using operator = await openBenchOperator(fleet.path("o"));
    const took: number[] = [];
    for (let at = 0; at < COMMANDS; at += 1) {
      const startedMs = performance.now();
      await command(operator, { nodeIds: [nodeId] });
      took.push(performance.now() - startedMs);
    }
    return took;
  };
  const near = await measure(fleet.serverPort);
  const far = await measure(other.port);
  return [
    {
      case: "two replicas: a command through the one without the stream, p50",
      value: median(far),
      unit: "ms",
      target: { atMost: 25 },
      peers: { "through the one with it": median(near) },
    },
    {
      case: "two replicas: the same, p99",
      value: quantile(far, 0.99),
      unit: "ms",
      peers: { "through the one with it": quantile(near, 0.99) },
    },
  ];
}
