import type { Client } from "../client.ts";
import { openOwnApi } from "../own-services.ts";
import { openGithubApi, openGithubGit } from "../real-services.ts";

const UPLOAD = "seq 1 400000 > upload.txt";
const CHECK_UPLOAD = `grep -q "$(sha256sum upload.txt | cut -d ' ' -f 1)"`;

/** Programs that come with a distribution. */
export const COMMAND_LINE: readonly Client[] = [
  {
    name: "curl",
    needs: ["/usr/bin/curl"],
    authentication: "`Authorization: Bearer`",
    exercised:
      "GET, 2.7 MB by PUT with `Expect: 100-continue`, the same in chunks, HTTP/1.0, two requests on one connection",
    service: openOwnApi,
    use: ({ origin }) => ({
      version: "curl --version",
      script: `
        curl -sS --fail-with-body -o first.json ${origin}/me -o second.json ${origin}/me
        curl -sS --fail-with-body --http1.0 -o old.json ${origin}/me
        ${UPLOAD}
        curl -sS --fail-with-body -T upload.txt ${origin}/upload | ${CHECK_UPLOAD}
        curl -sS --fail-with-body -T - ${origin}/upload < upload.txt | ${CHECK_UPLOAD}`,
    }),
    unauthorised: /returned error: 401/,
    refused: /CONNECT tunnel failed, response 403|HTTP code 403 from proxy/,
  },
  {
    name: "wget",
    needs: ["/usr/bin/wget"],
    authentication: "`Authorization: Bearer`",
    exercised: "GET, 2.7 MB by POST",
    notes:
      "GnuTLS reads no variable: it trusts the gate by the system's bundle, which a sandbox sees with the gate's CA in it.",
    service: openOwnApi,
    use: ({ origin }) => ({
      version: "wget --version",
      script: `
        wget -nv -O answer.json ${origin}/me
        ${UPLOAD}
        wget -nv -O - --post-file upload.txt ${origin}/upload | ${CHECK_UPLOAD}`,
    }),
    unauthorised: /401 Unauthorized|Authentication Failed/,
    refused: /Proxy tunneling failed: Forbidden/,
  },
  {
    name: "openssl s_client",
    needs: ["/usr/bin/openssl"],
    authentication: "`Authorization: Bearer`",
    exercised: "CONNECT by `-proxy`, verification of the gate's certificate, one request by hand",
    notes: "Takes the proxy and the run's token as options; the sandbox has them in `HTTPS_PROXY`.",
    service: openOwnApi,
    use: ({ origin }) => {
      const host = origin.replace("https://", "");
      const proxy = "-proxy 127.0.0.1:3128 -proxy_user run -proxy_pass pass:$token";
      const verified = `-connect ${host} -servername ${host.split(":")[0]} -verify_return_error -verify_hostname ${host.split(":")[0]}`;
      return {
        version: "openssl version",
        script: `
          token=\${HTTPS_PROXY#http://run:} token=\${token%@*}
          printf 'GET /me HTTP/1.1\\r\\nHost: ${host}\\r\\nConnection: close\\r\\n\\r\\n' |
            openssl s_client -quiet ${proxy} ${verified} > answer
          head -n 1 answer
          head -n 1 answer | grep -q 'HTTP/1.1 200'`,
      };
    },
    unauthorised: /HTTP\/1\.1 401/,
    refused: /HTTP CONNECT failed, reason= ?403 Forbidden/,
  },
  {
    name: "git",
    needs: ["/usr/bin/git"],
    authentication: "`Authorization: Basic x-access-token:…` (service `github`)",
    exercised: "clone, commit and push to `https://github.com`",
    notes: "Its first CONNECT shows no token; it answers the 407 on the same connection.",
    service: openGithubGit,
    use: ({ origin }) => ({
      version: "git --version",
      script: `
        export GIT_TERMINAL_PROMPT=0
        git clone --quiet ${origin}/project.git cloned
        cd cloned
        git -c user.name=Ada -c user.email=ada@example.test commit --quiet --allow-empty -m "From the sandbox"
        git push --quiet origin main
        test "$(git ls-remote origin refs/heads/main | cut -f 1)" = "$(git rev-parse HEAD)"`,
    }),
    unauthorised: /could not read Username|Authentication failed/,
    refused: /CONNECT tunnel failed, response 403|HTTP code 403 from proxy/,
  },
  {
    name: "gh",
    needs: ["/usr/bin/gh"],
    authentication: "`Authorization: Bearer` (service `github`)",
    exercised: "`gh api`: REST read and write, GraphQL, at `https://api.github.com`",
    notes: "Reads its placeholder from `GH_TOKEN`.",
    service: openGithubApi,
    use: () => ({
      version: "gh --version",
      script: `
        test "$(gh api user --jq .login)" = octo-fake
        test "$(gh api repos/acme/project/issues -f title=Found --jq .title)" = Found
        test "$(gh api graphql -f query='{viewer{login}}' --jq .data.viewer.login)" = octo-fake`,
      ownAuthentication: { GH_TOKEN: "ghp_stale0000000000000000000000000000000000" },
    }),
    unauthorised: /HTTP 401/,
    refused: /Forbidden/,
  },
];
