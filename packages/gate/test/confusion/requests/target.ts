import { type ConfusionCase, forwarded, refused, type Way } from "../confusion-case.ts";

/** Paths that two servers could read in two ways, on a host without rules about paths: one reading, or as sent. */
export function targetCases({ head }: Way): readonly ConfusionCase[] {
  const same = (...paths: readonly string[]) =>
    forwarded(Object.fromEntries(paths.map((path) => [`${path}, as sent`, [head(`GET ${path}`), `GET ${path}`]])));
  const cleaned = (table: Readonly<Record<string, string>>) =>
    forwarded(
      Object.fromEntries(
        Object.entries(table).map(([path, sent]) => [`${path}, cleaned`, [head(`GET ${path}`), `GET ${sent}`]]),
      ),
    );
  return [
    ...cleaned({
      "/a/./b": "/a/b",
      "/a/../b": "/b",
      "/../../b": "/b",
      "/a//b": "/a/b",
      "//b": "/b",
      "/a/..": "/",
      "/a/b/..": "/a/",
      "/%2e%2e/b": "/b",
      "/a/%2E/b": "/a/b",
      "/%61%62": "/ab",
      "/%7Euser": "/~user",
      "/a/?_method=DELETE&b=1": "/a/?b=1",
      "/a?b=1;_method=DELETE": "/a?b=1",
      "/a?%5fmethod=DELETE": "/a",
      "/a?access_token=mine&b": "/a?b",
    }),
    ...same(
      "/a%2fb",
      "/a%2Fb",
      "/a%2fb/../c",
      "/a%5cb",
      "/a\\b",
      "/%00",
      "/a%0d%0aX:y",
      "/a%252fb",
      "/%c0%af",
      "/%ff",
      "/%zz",
      "/%",
      "/a%20b",
      "/a;b=c/d",
      "/..;/b",
      "/.;/b",
      "/a?b#c".replace("#", "%23"),
      "/a?../b",
      "/a?b?c",
      "/?",
      '/"<>^`{|}',
      "/a?b=%0d%0aX:y",
      "/a:80/",
      "/*",
    ),
    ...refused("gate.ambiguous_request", "closed", {
      "a fragment": head("GET /a#b"),
      "a fragment in the query": head("GET /a?b#c"),
      "a space": head("GET /a b"),
      "a tab": head("GET /a\tb"),
      "a NUL": head("GET /a\0b"),
      "a control character": head("GET /a\x01b"),
      "a DEL": head("GET /a\x7fb"),
      "a byte outside ASCII": head("GET /\xc3\xa4"),
      "a carriage return": head("GET /a\rb"),
      "a line feed": head("GET /a\nb"),
      "an asterisk in a GET": head("GET *"),
      "a request line within the target": head("GET / HTTP/1.1 /hidden"),
    }),
  ];
}

/** The same, where rules hold that look at paths: what is ambiguous is refused, what matches in any reading too. */
export function guardedTargetCases({ head }: Way): readonly ConfusionCase[] {
  const paths = [
    "/private/x",
    "/a/../private/x",
    "//private/x",
    "/%70rivate/x",
    "/private;a/x",
    "/./private/x",
    "/private%2fx",
    "/x%2f..%2fprivate%2fx",
    "/a%2fb/../c",
    "/private%5cx",
    "/private\\x",
    "/private/%00",
    "/private/%2570",
    "/%c0%afprivate",
    "/%ff",
    "/%zz",
    "/..;/private/x",
    "/private/%0a",
  ];
  return [
    ...refused(
      "gate.policy_denied",
      "open",
      Object.fromEntries(paths.map((path) => [`${path}, under rules`, head(`GET ${path}`)])),
    ),
    ...forwarded({
      "a path beside the rules": [head("GET /privately/x"), "GET /privately/x"],
      "a query beside the rules": [head("GET /a?/private/x"), "GET /a?/private/x"],
      "a path that leaves the rules": [head("GET /private/../a"), "GET /a"],
    }),
  ];
}
