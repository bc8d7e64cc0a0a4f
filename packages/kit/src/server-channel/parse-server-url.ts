import { Problem } from "@gatehouse/core";

/** The origin of a server: https, no user, path, query or fragment. Fails with `server.bad_url`. */
export function parseServerUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new Problem("server.bad_url", { cause });
  }
  const isBare =
    url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "" && url.password === "";
  if (url.protocol !== "https:" || !isBare) throw new Problem("server.bad_url");
  return url.origin;
}
