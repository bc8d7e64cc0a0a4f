import type { Client } from "../client.ts";
import { openOwnApi } from "../own-services.ts";
import { PROGRAMS, PYTHON } from "../toolchains.ts";

const python = (library: string): Client => ({
  name: `Python ${library}`,
  authentication: "`Authorization: Bearer`",
  exercised: "GET, 2.7 MB by POST from a generator, two requests of one session",
  service: openOwnApi,
  needs: [PYTHON, `/usr/lib/python3/dist-packages/${library}`],
  use: ({ origin }) => ({
    version: `${PYTHON} -c 'import ${library}; print("${library}", ${library}.__version__)'`,
    script: `${PYTHON} ${PROGRAMS}/${library}_client.py ${origin}`,
    mounts: [PROGRAMS],
  }),
  unauthorised: /401/,
  refused: /403 Forbidden/,
});

export const PYTHON_LIBRARIES: readonly Client[] = [python("requests"), python("httpx")];
