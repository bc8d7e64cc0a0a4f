import type { Client } from "../client.ts";
import { openOwnApi } from "../own-services.ts";
import { buildGoClient, CLIENTS_FOLDER, compileJavaClient, GO, goVersion, JAVAC } from "../toolchains.ts";

/** Programs of ours that are built before they run. */
export const COMPILED: readonly Client[] = [
  {
    name: "Go net/http",
    authentication: "`Authorization: Bearer`",
    exercised: "GET, 2.7 MB by POST as a stream, two requests of one client",
    service: openOwnApi,
    needs: [GO],
    use: async ({ origin }) => ({
      version: `echo ${await goVersion()}`,
      script: `${await buildGoClient()} ${origin}`,
      mounts: [CLIENTS_FOLDER],
    }),
    unauthorised: /401 Unauthorized/,
    refused: /Forbidden/,
  },
  {
    name: "Java HttpClient and HttpsURLConnection",
    authentication: "`Authorization: Bearer`",
    exercised: "GET and 2.7 MB by POST with `java.net.http`, GET with `HttpsURLConnection`",
    notes:
      "Proxy and trust store come by `JAVA_TOOL_OPTIONS`; the program's `Authenticator` answers the gate's 407 with the token of `HTTPS_PROXY`, since Java has no property for it.",
    service: openOwnApi,
    needs: [JAVAC],
    use: async ({ origin }) => ({
      version: "java -version 2>&1 | grep version",
      script: `java -Xmx64m -cp ${await compileJavaClient()} JavaClient ${origin}`,
      mounts: [CLIENTS_FOLDER],
    }),
    unauthorised: /status 401/,
    refused: /\b403\b/,
  },
];
