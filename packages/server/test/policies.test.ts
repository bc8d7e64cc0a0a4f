import { canonicalJson } from "@gatehouse/core";
import { Role } from "@gatehouse/wire";
import { describe, expect, test } from "vitest";
import { DATABASES } from "./databases.ts";
import { HostUnderTest, refused } from "./fleet-under-test.ts";
import { openSession } from "./host-session.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { auditEntries } from "./stored-rows.ts";

function policyOf(...hosts: readonly string[]): Uint8Array<ArrayBuffer> {
  const document = canonicalJson({ mode: "permissive", rules: [{ action: "deny", hosts: [...hosts] }] });
  return new TextEncoder().encode(document);
}

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open);

  const put = (name: string, policy: Uint8Array<ArrayBuffer>, expectedVersion?: bigint) =>
    on.org.policies.putPolicy(
      { name, policy, ...(expectedVersion === undefined ? {} : { expectedVersion }) },
      on.org.headers,
    );

  async function labelled(name: string, labels: Record<string, string>): Promise<HostUnderTest> {
    const { code } = await on.org.nodes.createEnrollmentCode({ name, labels }, on.org.headers);
    const host = new HostUnderTest(on.org, name);
    await host.register(code);
    await on.org.confirm(host);
    return host;
  }

  const generationOf = async ({ registered: { nodeId } }: HostUnderTest) =>
    (await on.org.nodes.getNode({ node: nodeId }, on.org.headers)).node?.generation ?? 0n;

  test("each change is a version, by whom and when; the same policy again is none, and no node hears of it", async () => {
    const host = await labelled("p1", {});
    expect(await put("egress", policyOf("a.example.com"))).toMatchObject({ version: 1n, changed: true });
    expect(await put("egress", policyOf("b.example.com"))).toMatchObject({ version: 2n, changed: true });
    const before = await generationOf(host);
    expect(await put("egress", policyOf("b.example.com"))).toMatchObject({ version: 2n, changed: false });
    expect(await generationOf(host)).toBe(before);
    const { versions } = await on.org.policies.listPolicyVersions({ name: "egress" }, on.org.headers);
    expect(versions).toMatchObject([
      { version: 2n, changedBy: "operator:ada" },
      { version: 1n, changedBy: "operator:ada" },
    ]);
    const { policy } = await on.org.policies.getPolicy({ name: "egress", version: 1n }, on.org.headers);
    expect(policy?.policy).toEqual(policyOf("a.example.com"));
  });

  test("who expected another version than the one that holds changes nothing", async () => {
    await put("expected", policyOf("a.example.com"), 0n);
    await expect(put("expected", policyOf("c.example.com"), 0n)).rejects.toEqual(refused("policies.changed"));
    await expect(put("expected", policyOf("c.example.com"), 7n)).rejects.toEqual(refused("policies.changed"));
    const { policy } = await on.org.policies.getPolicy({ name: "expected" }, on.org.headers);
    expect(policy).toMatchObject({ version: 1n, policy: policyOf("a.example.com") });
    expect(await put("expected", policyOf("c.example.com"), 1n)).toMatchObject({ version: 2n });
  });

  test("several changes at once take one number each", async () => {
    const hosts = ["a", "b", "c", "d"].map((name) => policyOf(`${name}.example.com`));
    const done = await Promise.all(hosts.map((policy) => put("raced", policy)));
    const versions = done.map(({ version }) => Number(version));
    expect(versions.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4]);
  });

  test("a policy that was taken away keeps its versions, and goes on counting", async () => {
    await put("gone", policyOf("a.example.com"));
    await on.org.policies.deletePolicy({ name: "gone" }, on.org.headers);
    await expect(on.org.policies.getPolicy({ name: "gone" }, on.org.headers)).rejects.toEqual(
      refused("policies.not_found"),
    );
    const { policy } = await on.org.policies.getPolicy({ name: "gone", version: 1n }, on.org.headers);
    expect(policy?.policy).toEqual(policyOf("a.example.com"));
    expect(await put("gone", policyOf("a.example.com"))).toMatchObject({ version: 2n, changed: true });
    const nowhere = on.org.policies.listPolicyVersions({ name: "never" }, on.org.headers);
    await expect(nowhere).rejects.toEqual(refused("policies.not_found"));
  });

  test("a policy is in the bundle of the nodes that have its labels alone, and only those hear of a change", async () => {
    const [east, west] = [
      await labelled("east", { zone: "east", tier: "web" }),
      await labelled("west", { zone: "west" }),
    ];
    await put("zoned", policyOf("a.example.com"));
    await on.org.policies.assignPolicy({ name: "zoned", labels: { zone: "east", tier: "web" } }, on.org.headers);
    const sessions = new Map<HostUnderTest, Awaited<ReturnType<typeof openSession>>>();
    for (const host of [east, west]) sessions.set(host, await openSession(host));
    const names = async (host: HostUnderTest) => {
      const found: string[] = [];
      const headers = await sessions.get(host)?.headersFor("FetchBundle");
      for await (const { item } of on.fleet.gateway.fetchBundle({ held: [] }, headers)) {
        const text = item.case === "part" ? new TextDecoder().decode(item.value.content) : "{}";
        const { name, document } = JSON.parse(text) as { name?: string; document?: string };
        if (document !== undefined && name !== undefined) found.push(name);
      }
      return found;
    };
    expect(await names(east)).toContain("zoned");
    expect(await names(west)).not.toContain("zoned");
    const before = await generationOf(west);
    await put("zoned", policyOf("b.example.com"));
    expect(await generationOf(west)).toBe(before);
    await on.org.policies.assignPolicy({ name: "zoned", labels: {} }, on.org.headers);
    expect(await generationOf(west)).toBe(before + 1n);
    expect(await names(west)).toContain("zoned");
    const entries = await auditEntries(on.database.location, on.org.orgId);
    const assigned = entries.filter(({ kind }) => kind === "policy.assigned");
    expect(assigned.map(({ data }) => data)).toEqual([
      { name: "zoned", labels: '{"tier":"web","zone":"east"}' },
      { name: "zoned", labels: "{}" },
    ]);
    await expect(on.org.policies.assignPolicy({ name: "never", labels: {} }, on.org.headers)).rejects.toEqual(
      refused("policies.not_found"),
    );
  });

  test("other labels make other policies hold a node, which hears of it then alone; each change is on record", async () => {
    const [host, other] = [await labelled("moved", { zone: "here" }), await labelled("other", { zone: "there" })];
    const { nodeId } = host.registered;
    const label = (labels: Record<string, string>, removedLabels: string[] = [], headers = on.org.headers) =>
      on.org.nodes.labelNode({ nodeId, labels, removedLabels }, headers);
    await put("there", policyOf("a.example.com"));
    await on.org.policies.assignPolicy({ name: "there", labels: { zone: "there" } }, on.org.headers);
    const before = await generationOf(host);
    expect((await label({ tier: "web" })).labels).toEqual({ zone: "here", tier: "web" });
    expect(await generationOf(host), "the same policies hold it").toBe(before);
    expect((await label({ zone: "there" }, ["tier"])).labels).toEqual({ zone: "there" });
    expect(await generationOf(host)).toBe(before + 1n);
    await label({ zone: "there" }, ["tier"]);
    expect(await generationOf(host), "nothing changed").toBe(before + 1n);
    await label({}, ["zone"]);
    expect(await generationOf(host), "it is held no more").toBe(before + 2n);
    const found = await on.org.nodes.listNodes({ labels: { zone: "there" } }, on.org.headers);
    expect(found.nodes.map(({ name }) => name)).toEqual(["other"]);
    expect(await labelRecords()).toEqual([
      { before: '{"zone":"here"}', after: '{"tier":"web","zone":"here"}' },
      { before: '{"tier":"web","zone":"here"}', after: '{"zone":"there"}' },
      { before: '{"zone":"there"}', after: "{}" },
    ]);
    const untouched = await generationOf(other);
    await on.org.nodes.transferNode({ fromNodeId: other.registered.nodeId, toNodeId: nodeId }, on.org.headers);
    expect(await generationOf(host), "a transfer brought the label").toBe(before + 3n);
    expect(await generationOf(other), "and took it").toBe(untouched + 1n);
  });

  test("labels that are none, and those of somebody who may not change them, change nothing", async () => {
    const host = await labelled("kept", { zone: "here" });
    const records = await labelRecords();
    const { nodeId } = host.registered;
    const many = Object.fromEntries(Array.from({ length: 64 }, (_, at) => [`l${at}`, "x"]));
    const cases = [
      { labels: { "Not A Key": "x" } },
      { labels: { zone: "x".repeat(64) } },
      { labels: {}, removedLabels: ["-"] },
      { labels: { zone: "there" }, removedLabels: ["zone"] },
      { labels: many },
    ];
    for (const wrong of cases) {
      const asked = on.org.nodes.labelNode({ nodeId, ...wrong }, on.org.headers);
      await expect(asked, JSON.stringify(wrong)).rejects.toEqual(refused("api.malformed"));
    }
    await on.org.org.addMember({ name: "vic", role: Role.VIEWER }, on.org.headers);
    const { apiKey } = await on.org.org.createApiKey(
      { label: "vic", role: Role.VIEWER, member: "vic" },
      on.org.headers,
    );
    const viewer = { headers: { authorization: `Bearer ${apiKey}` } };
    const asked = on.org.nodes.labelNode({ nodeId, labels: { zone: "there" } }, viewer);
    await expect(asked).rejects.toEqual(refused("auth.forbidden"));
    const { node } = await on.org.nodes.getNode({ node: nodeId }, on.org.headers);
    expect(node?.labels).toEqual({ zone: "here" });
    expect(await labelRecords()).toEqual(records);
  });

  async function labelRecords() {
    const entries = await auditEntries(on.database.location, on.org.orgId);
    return entries.filter(({ kind }) => kind === "node.labelled").map(({ data }) => data);
  }
});
