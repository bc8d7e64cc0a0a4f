import { createHash, randomUUID } from "node:crypto";
import {
  openFakeApi,
  openFakeCargoRegistry,
  openFakePypi,
  plantValue,
  type Respond,
  sendJson,
} from "@gatehouse/testbed";
import type { ServicePlace } from "./client.ts";
import { type ClientService, serve, shownIn } from "./services.ts";

/** An API of one's own on a port of its own: JSON back, and of what is sent to `/upload` its length and hash. */
export async function openOwnApi(place: ServicePlace): Promise<ClientService> {
  const { world } = place;
  const value = plantValue();
  const expects = `Bearer ${value}`;
  const respond: Respond = ({ url, body }, response) => {
    if (url !== "/upload") return false;
    sendJson(response, 200, { bytes: body.length, sha256: createHash("sha256").update(body).digest("hex") });
    return true;
  };
  const api = await openFakeApi({ authority: world.authority, expects, respond });
  const name = "api.example.test";
  const grant = `own-api-${randomUUID()}`;
  await world.addCredential(grant, { host: `${name}:${api.port}`, value });
  return serve({ place, fake: api, name, value, grants: [grant], shown: shownIn(api), expects });
}

/** A package index of one's own that wants Basic. */
export async function openOwnPypi(place: ServicePlace): Promise<ClientService> {
  const { world } = place;
  const value = plantValue("pypi-");
  const expects = `Basic ${btoa(`__token__:${value}`)}`;
  const api = await openFakePypi({ authority: world.authority, expects });
  const name = "pypi.example.test";
  const grant = `own-pypi-${randomUUID()}`;
  await world.addCredential(grant, { host: `${name}:${api.port}`, value, format: "Basic __token__:{value}" });
  return serve({ place, fake: api, name, value, grants: [grant], shown: shownIn(api), expects });
}

/** A crate registry of one's own that wants the token alone. */
export async function openOwnCrates(place: ServicePlace): Promise<ClientService> {
  const { world } = place;
  const value = plantValue("cio");
  const name = "crates.example.test";
  const api = await openFakeCargoRegistry({ authority: world.authority, expects: value, origin: `https://${name}` });
  const grant = `own-crates-${randomUUID()}`;
  await world.addCredential(grant, { host: `${name}:${api.port}`, value, format: "{value}" });
  const shown = shownIn(api);
  return serve({ place, fake: api, name, value, grants: [grant], shown, expects: value });
}
