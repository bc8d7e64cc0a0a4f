import type { ServiceImpl } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { PolicyAdminService } from "@gatehouse/wire";
import { nextPageToken, readPage } from "../../page.ts";
import { assignPolicy, deletePolicy, putPolicy } from "../../policies/change-policy.ts";
import type { Policy, PolicyRecords } from "../../policies/policy-records.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf, operatorCaller } from "../caller.ts";
import { toSafeNumber } from "./safe-number.ts";
import { tellNodes } from "./tell-nodes.ts";

/** Each is a whole document. */
const DEFAULT_PAGE = 50;
const DEFAULT_VERSIONS = 1_000;
const VERSION_TOKEN = /^\d{0,15}$/;

/** Policies that hold every run of the organisation's nodes. */
export function policyAdminService({ store, bus, random }: ServerContext): ServiceImpl<typeof PolicyAdminService> {
  return {
    putPolicy: async ({ name, policy, expectedVersion: expected }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const expectedVersion = expected === undefined ? undefined : toSafeNumber(expected);
      const input = { actor: actorOf(caller), name, document: new TextDecoder().decode(policy), expectedVersion };
      const { version, hasChanged, nodeIds } = await store.inOrg(orgId, (tx) => putPolicy(tx, input, random));
      tellNodes(bus, orgId, nodeIds);
      return { version: BigInt(version), changed: hasChanged };
    },
    listPolicies: async (asked, context) => {
      const page = readPage(asked, DEFAULT_PAGE);
      const policies = await store.inOrg(operatorCaller(context).orgId, (tx) => tx.policies.list(page));
      return {
        policies: policies.map(describePolicy),
        nextPageToken: nextPageToken(policies, page, ({ name }) => name),
      };
    },
    getPolicy: async ({ name, version }, context) => {
      const asked = toSafeNumber(version);
      const policy = await store.inOrg(operatorCaller(context).orgId, (tx) => findPolicy(tx.policies, name, asked));
      return { policy: describePolicy(policy) };
    },
    listPolicyVersions: async (asked, context) => {
      const page = readPage(asked, DEFAULT_VERSIONS);
      if (!VERSION_TOKEN.test(page.after)) throw new Problem("api.malformed", { detail: "page_token is no version." });
      const { orgId } = operatorCaller(context);
      const versions = await store.inOrg(orgId, (tx) => tx.policies.versions(asked.name, page));
      if (versions.length === 0 && page.after === "") throw new Problem("policies.not_found");
      return {
        nextPageToken: nextPageToken(versions, page, ({ version }) => `${version}`),
        versions: versions.map(({ version, updatedAt, actor: changedBy, document }) => ({
          version: BigInt(version),
          changedAt: BigInt(updatedAt),
          changedBy,
          policySha256: sha256(document),
        })),
      };
    },
    assignPolicy: async ({ name, labels }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const input = { actor: actorOf(caller), name, labels };
      tellNodes(bus, orgId, await store.inOrg(orgId, (tx) => assignPolicy(tx, input)));
      return {};
    },
    deletePolicy: async ({ name }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const input = { actor: actorOf(caller), name };
      tellNodes(bus, orgId, await store.inOrg(orgId, (tx) => deletePolicy(tx, input)));
      return {};
    },
  };
}

type Described = Omit<Policy, "id">;

/** `version` 0: the one that holds. */
async function findPolicy(policies: PolicyRecords, name: string, version: number): Promise<Described> {
  const held = await policies.find(name);
  if (version === 0 && held !== undefined) return held;
  const found = (await policies.versions(name)).find((one) => one.version === version);
  if (found === undefined) throw new Problem("policies.not_found");
  return { ...found, name, labels: held?.labels ?? {} };
}

function describePolicy({ name, document, updatedAt, version, labels, actor }: Described) {
  const own = { version: BigInt(version), labels: { ...labels }, changedBy: actor };
  return { name, policy: new TextEncoder().encode(document), updatedAt: BigInt(updatedAt), ...own };
}
