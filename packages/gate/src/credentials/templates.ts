import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Problem } from "@gatehouse/core";
import { parse } from "yaml";
import * as z from "zod";
import { bindingSchema, checkBinding } from "./binding.ts";

const endpointsSchema = z
  .array(
    z.strictObject({
      hosts: z.array(z.string()),
      methods: z.array(z.string()).optional(),
      paths: z.array(z.string()),
    }),
  )
  .default([]);

const templateSchema = z.strictObject({
  service: z.string().regex(/^[a-z0-9][a-z0-9-]{0,30}$/),
  title: z.string().min(1),
  bindings: z.array(bindingSchema).min(1),
  /** Hosts that its clients need beside, without credential. */
  allow: z.array(z.string()).default([]),
  /** Endpoints that make, exchange or show credentials. */
  denied: endpointsSchema,
  /** Endpoints that take many operations in one body, where no rule about methods or paths sees them. */
  batch: endpointsSchema,
  /** How a placeholder looks, so that clients accept it. */
  placeholder: z.strictObject({ prefix: z.string(), length: z.number().int().min(16).max(256) }),
  /** Variables in which clients look for the credential. */
  env: z.array(z.string().regex(/^[A-Z][A-Z0-9_]*$/)),
});

/** What is known of a service: where its credential goes and how its clients find it. */
export type Template = Readonly<z.infer<typeof templateSchema>>;

/** The built-in templates by service. Fails with `state.corrupt` naming the file. */
export async function loadTemplates(): Promise<ReadonlyMap<string, Template>> {
  const folder = templateFolder();
  const templates = new Map<string, Template>();
  for (const name of (await readdir(folder)).filter((entry) => entry.endsWith(".yaml")).sort()) {
    const template = readTemplate(name, await readFile(join(folder, name), "utf8"));
    templates.set(template.service, template);
  }
  return templates;
}

function readTemplate(name: string, text: string): Template {
  try {
    const template = templateSchema.parse(parse(text));
    for (const binding of template.bindings) checkBinding(binding);
    return template;
  } catch (cause) {
    throw new Problem("state.corrupt", { detail: `The service template ${name} is not valid.`, cause });
  }
}

/** Beside the bundle, or in the package when run from its sources. */
function templateFolder(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const bundled = join(here, "templates");
  return existsSync(bundled) ? bundled : join(here, "../../templates");
}
