import { METRICS } from "@gatehouse/node";
import { eventually, openFakeApi, plantValue, startWorld } from "@gatehouse/testbed";
import { expect, test } from "vitest";

/** Figures by name and labels, as a scraper reads them. */
async function scrape(port: unknown): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${String(port)}/metrics`);
  expect(answer.status).toBe(200);
  const lines = (await answer.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
}

test("a scrape shows what runs asked for and what became of it, through a worker's end, and names nobody", async () => {
  await using world = await startWorld();
  await world.daemon.stop();
  const { metrics_port: port } = await world.daemon.start();
  await using api = await openFakeApi({ authority: world.authority });
  const host = `api.example.test:${api.port}`;
  const secret = plantValue();
  await world.addCredential("api", { host, value: secret });
  const policy = await world.writePolicy([{ action: "allow", hosts: [host], cidr: ["127.0.0.0/8"] }]);
  const ask = (url: string) => world.run(["curl", "-s", "-o", "/dev/null", url], { grants: ["api"], policy });
  await ask(`https://${host}/who`);
  await ask("https://denied.example.test/");
  const requests = 'gatehouse_gate_requests_total{decision="allowed"}';
  await eventually("both requests", async () => {
    const figures = await scrape(port);
    return figures.get(requests) === 1 && figures.get('gatehouse_gate_requests_total{decision="denied"}') === 1;
  });
  await world.killGate("worker");
  await eventually(
    "new workers",
    async () => (await scrape(port)).get('gatehouse_gate_workers{state="starting"}') === 0,
  );
  const figures = await scrape(port);
  expect(figures.get(requests)).toBe(1);
  expect(figures.get('gatehouse_gate_refusals_total{code="gate.policy_denied"}')).toBe(1);
  expect(figures.get('gatehouse_gate_request_duration_seconds_bucket{le="+Inf"}')).toBe(2);
  expect(figures.get("gatehouse_gate_up")).toBe(1);
  const names = [...figures.keys()].map((key) => key.replace(/(?:_bucket|_sum|_count)?(?:\{.*)?$/, ""));
  for (const name of names) expect(Object.keys(METRICS)).toContain(name);
  const text = [...figures.keys()].join("\n");
  for (const word of [secret, "example.test", "127.0.0.1"]) expect(text).not.toContain(word);
});
