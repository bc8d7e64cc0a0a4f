import { Problem, parseResourceName } from "@gatehouse/core";
import type { Route } from "@gatehouse/kit";
import * as z from "zod";
import type { GateEvent } from "../audit/gate-audit.ts";
import { auditText } from "../audit/run-events.ts";
import { type Binding, bindingSchema } from "../credentials/binding.ts";
import type { AroundStoring, CredentialInfo } from "../credentials/credential-store.ts";
import { actorOf } from "./actor.ts";
import type { ApiContext } from "./api-context.ts";

const grantSchema = z.strictObject({
  name: z.string().optional(),
  service: z.string().optional(),
  bindings: z.array(bindingSchema).optional(),
  value: z.string(),
  /** Gives a grant that exists the new value. */
  replace: z.boolean().default(false),
});

/** Credentials and the grants of the same name: add, list, take back. Values go in and never come out. */
export function grantRoutes(context: ApiContext): readonly Route[] {
  const { audit, credentials, grants, registry, templates } = context;
  return [
    {
      method: "POST",
      path: "/v1/grants",
      handle: async ({ body, peer }) => {
        const parsed = grantSchema.safeParse(body);
        if (!parsed.success) throw new Problem("grants.invalid", { detail: faultOf(parsed.error) });
        const { service, value, replace } = parsed.data;
        const name = parseResourceName(parsed.data.name ?? service ?? "");
        const bindings = bindingsOf(context, parsed.data);
        if (grants.get(name)?.origin === "organisation") {
          throw new Problem("grants.exists", { detail: `${name} is the organisation's: choose another name.` });
        }
        const onRecord: AroundStoring = (info, store) => {
          const kind = credentials.has(name) ? "grant.replaced" : "grant.created";
          return audit.attempt({ kind, actor: actorOf({ peer }), data: grantData(info) }, store);
        };
        const added = { name, service, bindings, value };
        if (!replace) return { status: 201, body: describeGrant(await credentials.add(added, onRecord)) };
        const info = await credentials.replace(added, onRecord);
        await registry.refreshGrant(name);
        return { status: 201, body: describeGrant(info) };
      },
    },
    {
      method: "GET",
      path: "/v1/grants",
      handle: () => ({ status: 200, body: grants.list().map(describeGrant) }),
    },
    {
      method: "DELETE",
      path: "/v1/grants/{name}",
      handle: async ({ params, peer }) => {
        const name = parseResourceName(params.name ?? "");
        if (!credentials.has(name)) throw new Problem("grants.not_found");
        audit.note({ kind: "grant.revoked", actor: actorOf({ peer }), data: { name } });
        await credentials.remove(name, () => registry.withdrawGrant(name));
        await audit.settled();
        return { status: 204 };
      },
    },
    {
      method: "GET",
      path: "/v1/credentials",
      handle: () => ({
        status: 200,
        body: grants.list().map(({ id, name, service, createdAt, bindings, origin }) => ({
          id,
          name,
          service,
          origin,
          created_at: new Date(createdAt).toISOString(),
          hosts: [...new Set(bindings.flatMap(({ hosts }) => hosts))],
        })),
      }),
    },
    {
      method: "GET",
      path: "/v1/services",
      handle: () => ({
        status: 200,
        body: [...templates.values()].map(({ service, title, bindings, env }) => ({
          service,
          title,
          hosts: bindings.flatMap(({ hosts }) => hosts),
          env,
        })),
      }),
    },
  ];
}

/** What zod says of a wrong value could quote it, so where it stands is all that is passed on. */
function faultOf({ issues }: z.ZodError): string {
  const place = issues[0]?.path.join(".") ?? "";
  return place === "" ? "A grant has value, and service or bindings." : `${place} is not there, or not as it must be.`;
}

function bindingsOf({ templates }: ApiContext, { service, bindings }: z.infer<typeof grantSchema>): readonly Binding[] {
  if (service === undefined) {
    if (bindings === undefined || bindings.length === 0)
      throw new Problem("grants.invalid", { detail: "It names no host." });
    return bindings;
  }
  if (bindings !== undefined)
    throw new Problem("grants.invalid", { detail: "It has a service or bindings, not both." });
  const template = templates.get(service);
  if (template === undefined) {
    throw new Problem("credentials.unknown_service", {
      detail: `Not ${JSON.stringify(service.slice(0, 40))}; known are ${[...templates.keys()].join(", ")}.`,
    });
  }
  return template.bindings;
}

/** A grant as it stands on record: where its credential may go, and in which slot. */
function grantData({ id, name, service, bindings }: CredentialInfo): GateEvent["data"] {
  return {
    credential: id,
    name,
    service: service ?? null,
    slots: bindings.map(({ hosts, header, format, methods = null, paths = null }) => ({
      format: auditText(format),
      header,
      hosts: hosts.map(auditText),
      methods,
      paths: paths?.map(auditText) ?? null,
    })),
  };
}

function describeGrant({ name, service, createdAt, bindings, origin }: CredentialInfo): object {
  return {
    name,
    service,
    origin,
    created_at: new Date(createdAt).toISOString(),
    bindings: bindings.map(({ hosts, header, methods, paths }) => ({ hosts, header, methods, paths })),
  };
}
