import { type ConfusionCase, forwarded, refused, type Way } from "../confusion-case.ts";

/** Who is meant: the tunnel, the target, Host. */
export function authorityCases(way: Way): readonly ConfusionCase[] {
  const { host, other, auth, target, head } = way;
  const [name = "", port = ""] = host.split(":");
  const line = (written: string, hosts: readonly string[], version = "1.1") => {
    return `GET ${written} HTTP/${version}\r\n${hosts.map((one) => `Host:${one}\r\n`).join("")}${auth}\r\n`;
  };
  const hosts = (...values: readonly string[]) => line(target("/"), values);
  const scheme = way.kind === "tunnel" ? "https" : "http";
  const absolute = (authority: string, stated = ` ${host}`) => line(`${scheme}://${authority}/a`, [stated]);
  return [
    ...forwarded({
      "Host in capitals": [hosts(` ${host.toUpperCase()}`), "GET /"],
      "Host with a trailing dot": [hosts(` ${name}.:${port}`), "GET /"],
      "Host between spaces and tabs": [hosts(` \t${host}\t `), "GET /"],
      "absolute-form": [absolute(host), "GET /a"],
      "absolute-form in capitals": [
        absolute(host.toUpperCase()).replace(`${scheme}:`, `${scheme.toUpperCase()}:`),
        "GET /a",
      ],
      "absolute-form without a path": [line(`${scheme}://${host}`, [` ${host}`]), "GET /"],
      "absolute-form with a query alone": [line(`${scheme}://${host}?a=b`, [` ${host}`]), "GET /?a=b"],
      "absolute-form with a path that looks like an authority": [
        line(`${scheme}://${host}//${other}/`, [` ${host}`]),
        `GET /${other}/`,
      ],
      "a target that looks like an authority": [head(`GET //${other}/x`), `GET /${other}/x`],
      "a target that looks like a URL": [head(`GET /http://${other}/x`), `GET /http:/${other}/x`],
      "a query that looks like a URL": [head(`GET /?u=http://${other}/x@y`), `GET /?u=http://${other}/x@y`],
      "user info within a path": [head(`GET /@${other}/x`), `GET /@${other}/x`],
      "other fields that name hosts": [
        head(
          "GET /",
          `X-Forwarded-Host: ${other}\r\nX-Host: ${other}\r\nForwarded: host=${other}\r\nX-Original-Host: ${other}\r\n`,
        ),
        "GET /",
      ],
      "other spellings of fields that name hosts": [
        head("GET /", `X_Forwarded_Host: ${other}\r\nX_HOST: ${other}\r\n`),
        "GET /",
      ],
    }),
    ...refused("gate.ambiguous_request", "closed", {
      "no Host": hosts(),
      "an empty Host": hosts(""),
      "Host twice, alike": hosts(` ${host}`, ` ${host}`),
      "Host twice, in two spellings": hosts(` ${host}`).replace("\r\n\r\n", `\r\nhost: ${other}\r\n\r\n`),
      "Host twice, another second": hosts(` ${host}`, ` ${other}`),
      "Host twice, another first": hosts(` ${other}`, ` ${host}`),
      "Host folded": hosts(`\r\n ${host}`),
      "a list of hosts": hosts(` ${host}, ${other}`),
      "two hosts with a space": hosts(` ${host} ${other}`),
      "user info in Host": hosts(` user@${host}`),
      "user info that looks like a host": hosts(` ${host}@${other}`),
      "a path in Host": hosts(` ${host}/${other}`),
      "a fragment in Host": hosts(` ${host}#${other}`),
      "a query in Host": hosts(` ${host}?${other}`),
      "a backslash in Host": hosts(` ${host}\\${other}`),
      "a scheme in Host": hosts(` http://${host}`),
      "a NUL in Host": hosts(` ${host}\0.${other}`),
      "an escape in Host": hosts(` api%2etest:${port}`),
      "letters outside ASCII in Host": hosts(` \xe4pi.test:${port}`),
      "a fullwidth full stop in Host": hosts(` api\xef\xbc\x8etest:${port}`),
      "a soft hyphen in Host": hosts(` a\xc2\xadpi.test:${port}`),
      "an empty port in Host": hosts(` ${name}:`),
      "port zero in Host": hosts(` ${name}:0`),
      "a port above 65535 in Host": hosts(` ${name}:${65_536 + Number(port)}`),
      "a port with a leading zero in Host": hosts(` ${name}:0${port}`),
      "a signed port in Host": hosts(` ${name}:+${port}`),
      "two ports in Host": hosts(` ${host}:80`),
      "two trailing dots in Host": hosts(` ${name}..:${port}`),
      "an IPv6 zone in Host": hosts(` [fe80::1%25eth0]:${port}`),
      "an IPv6 address without brackets in Host": hosts(` ::1:${port}`),
      "an unclosed bracket in Host": hosts(` [::1:${port}`),
      "another Host than absolute-form": absolute(other),
      "another absolute-form than Host": absolute(host, ` ${other}`),
      "another port in absolute-form": absolute(`${name}:1`),
      "no port in absolute-form": absolute(name),
      "user info in absolute-form": absolute(`user:pass@${host}`, ` ${host}`),
      "user info that looks like a host in absolute-form": absolute(`${host}@${other}`, ` ${other}`),
      "a backslash in absolute-form": line(`${scheme}://${host}\\@${other}/`, [` ${host}`]),
      "an escape in the host of absolute-form": absolute(`api%2etest:${port}`),
      "an IPv6 zone in absolute-form": absolute("[fe80::1%25eth0]", " [fe80::1]"),
      "absolute-form without an authority": line(`${scheme}:///a`, [` ${host}`]),
      "absolute-form with one slash": line(`${scheme}:/${host}/a`, [` ${host}`]),
      "absolute-form of another scheme": line(`ftp://${host}/a`, [` ${host}`]),
      "authority-form in a GET": line(host, [` ${host}`]),
      "a target without a slash": line("admin", [` ${host}`]),
      "a target that is a query": line("?a", [` ${host}`]),
      "HTTP/1.0 with two hosts": line(target("/"), [` ${host}`, ` ${other}`], "1.0"),
    }),
    ...(way.kind === "tunnel" ? tunnelOnly({ ...way, line, name, port }) : frontOnly({ ...way, line, name, port })),
  ];
}

type More = Way & {
  readonly line: (target: string, hosts: readonly string[], version?: string) => string;
  readonly name: string;
  readonly port: string;
};

function tunnelOnly({ host, other, line, name, port, head }: More): readonly ConfusionCase[] {
  const next = { start: "GET /next" };
  const mismatch = refused("gate.destination_mismatch", "open", {
    "another Host in a tunnel": line("/", [` ${other}`]),
    "another port in a tunnel": line("/", [` ${name}:1`]),
    "no port in a tunnel to another than the default": line("/", [` ${name}`]),
    "a name below the tunnel's": line("/", [` x.${host}`]),
    "the tunnel's address": line("/", [` 127.0.0.1:${port}`]),
    "another spelling of the tunnel's address": line("/", [` 0x7f.1:${port}`]),
    "the tunnel's address, mapped": line("/", [` [::ffff:127.0.0.1]:${port}`]),
    "absolute-form of another host, with its Host": line(`https://${other}/`, [` ${other}`]),
    "absolute-form without TLS in a tunnel with it": line(`http://${host}/`, [` ${host}`]),
  });
  return [
    ...mismatch,
    ...refused("gate.protocol_unknown", "open", {
      "CONNECT within a tunnel": `CONNECT ${other} HTTP/1.1\r\nHost: ${other}\r\n\r\n`,
      "CONNECT within a tunnel to its own host": `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    }),
    ...mismatch.slice(0, 2).map((one) => ({
      ...one,
      name: `${one.name}, then a good request`,
      sends: `${one.sends}${head("GET /next")}`,
      forwards: [next],
      answers: [...one.answers, 200],
    })),
    {
      name: "HTTP/1.0 without Host",
      sends: "GET /old HTTP/1.0\r\n\r\n",
      forwards: [{ start: "GET /old" }],
      answers: [200],
      end: "closed",
    },
  ];
}

function frontOnly({ host, other, auth, line, name }: More): readonly ConfusionCase[] {
  const connect = (target: string, stated: string, fields = "") =>
    `CONNECT ${target} HTTP/1.1\r\nHost: ${stated}\r\n${auth}${fields}\r\n`;
  const inside = (path: string, stated: string) => `GET ${path} HTTP/1.1\r\nHost: ${stated}\r\n\r\n`;
  return [
    ...refused("gate.destination_mismatch", "open", {
      "a request to a proxy without a destination": line("/", [` ${host}`]),
      "absolute-form with TLS where there is none": line(`https://${host}/`, [` ${host}`]),
      "CONNECT with another Host": connect(host, other),
      "CONNECT with another port in Host": connect(host, `${name}:1`),
    }),
    ...refused("gate.ambiguous_request", "closed", {
      "CONNECT without a port": connect(name, name),
      "CONNECT with a path": connect(`${host}/x`, host),
      "CONNECT with a scheme": connect(`http://${host}`, host),
      "CONNECT with user info": connect(`${other}@${host}`, host),
      "CONNECT with an IPv6 zone": connect("[fe80::1%25eth0]:443", "[fe80::1]:443"),
      "CONNECT to a path": connect("/x", host),
      "CONNECT with a length": connect(host, host, "Content-Length: 5\r\n"),
      "CONNECT in chunks": connect(host, host, "Transfer-Encoding: chunked\r\n"),
      "CONNECT in small letters": connect(host, host).replace("CONNECT", "connect"),
    }),
    ...refused("gate.policy_denied", "open", {
      "CONNECT to a host that policy denies": connect("denied.test:443", "denied.test:443"),
    }),
    {
      name: "a request behind CONNECT in one packet",
      sends: `${connect(host, host)}${inside("/inside", host)}`,
      forwards: [{ start: "GET /inside" }],
      answers: [200, 200],
      end: "open",
    },
    {
      name: "a request to another host behind CONNECT in one packet",
      sends: `${connect(host, host)}${inside("/inside", other)}${inside("/next", host)}`,
      forwards: [{ start: "GET /next" }],
      answers: [200, "gate.destination_mismatch", 200],
      end: "open",
    },
    {
      name: "two destinations on one connection",
      sends: `${line(`http://${host}/1`, [` ${host}`])}${line(`http://${host}/2`, [` ${host}`])}`,
      forwards: [{ start: "GET /1" }, { start: "GET /2" }],
      answers: [200, 200],
      end: "open",
    },
    {
      name: "no token",
      sends: `GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      forwards: [],
      answers: ["gate.run_unknown"],
      end: "open",
    },
    {
      name: "the token twice",
      sends: `GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n${auth}${auth}\r\n`,
      forwards: [],
      answers: ["gate.run_unknown"],
      end: "open",
    },
  ];
}
