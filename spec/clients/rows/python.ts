import type { Client } from "../client.ts";
import { openOwnApi } from "../own-services.ts";
import { PROGRAMS, PYTHON } from "../toolchains.ts";

/** `session` and `body`: what the library calls a session, and the argument of a streamed body. */
const python = (library: string, session: string, body: string): Client => ({
  name: `Python ${library}`,
  authentication: "`Authorization: Bearer`",
  exercised: "GET, 2.7 MB by POST from a generator, two requests of one session",
  service: openOwnApi,
  needs: [PYTHON, `/usr/lib/python3/dist-packages/${library}`],
  use: ({ origin }) => ({
    version: `${PYTHON} -c 'import ${library}; print("${library}", ${library}.__version__)'`,
    script: `${PYTHON} ${PROGRAMS}/python_client.py ${library} ${session} ${body} ${origin}`,
    mounts: [PROGRAMS],
  }),
  unauthorised: /\b401\b/,
  refused: /403 Forbidden/,
});

export const PYTHON_LIBRARIES: readonly Client[] = [
  python("requests", "Session", "data"),
  python("httpx", "Client", "content"),
];
