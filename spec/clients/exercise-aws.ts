import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openFakeApi } from "@gatehouse/testbed";
import { expect } from "vitest";
import { isSignedBy } from "./aws-signature.ts";
import type { ClientRow, ServicePlace } from "./client.ts";
import { runOnce } from "./exercise.ts";

const BUCKET_HOST = "gatehouse-test.s3.us-east-1.amazonaws.com";

/** The gate does not sign: this row shows what becomes of a signature by keys that open nothing. */
export const AWS_CLI: ClientRow = {
  name: "aws-cli",
  authentication: "none by the gate, which does not sign; placeholder keys of the run",
  exercised: "`s3 ls` and `s3 cp` of an upload to `https://…s3.us-east-1.amazonaws.com`",
  notes:
    "Under `permissive` the placeholder's signature arrives intact (the fake checks it); under `strict` the gate removes it and S3 answers AccessDenied. Not a way to use AWS: real keys would have to be in the sandbox.",
};

/** Drives the AWS CLI with placeholder keys; returns its version. */
export async function exerciseAws({ world, addressOf }: ServicePlace): Promise<string> {
  const keys = {
    accessKeyId: "AKIAPLACEHOLDER00000",
    secretAccessKey: `placeholder${randomBytes(14).toString("hex")}`,
  };
  const at = { address: addressOf(BUCKET_HOST), port: 443 };
  await using bucket = await openFakeApi({
    authority: world.authority,
    at,
    respond: (received, response) => {
      const isLetIn = isSignedBy(keys, received);
      response.writeHead(isLetIn ? 200 : 403, { "content-type": "application/xml" });
      response.end(isLetIn ? LISTING : "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");
      return true;
    },
  });
  const env = {
    AWS_ACCESS_KEY_ID: keys.accessKeyId,
    AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
    AWS_DEFAULT_REGION: "us-east-1",
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_MAX_ATTEMPTS: "1",
  };
  const script = `
    aws --version
    aws s3 ls s3://gatehouse-test/ | grep -q report.txt
    seq 1 400000 > upload.txt
    aws s3 cp --no-progress upload.txt s3://gatehouse-test/upload.txt`;

  const refused = await runOnce(world, { script }, { env });
  expect(refused.code).not.toBe(0);
  expect(refused.said).toMatch(/Failed to connect to proxy URL|403/);
  expect(bucket.connections).toBe(0);

  const strict = await runOnce(world, { script }, { env, policy: await world.allowServices(`${BUCKET_HOST}:443`) });
  expect(strict.code).not.toBe(0);
  expect(strict.said).toContain("AccessDenied");
  expect(bucket.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);

  const policy = join(world.paths.directory, "permissive.yaml");
  const rules = [{ action: "allow", hosts: [`${BUCKET_HOST}:443`], cidr: ["127.0.0.0/8"] }];
  await writeFile(policy, JSON.stringify({ mode: "permissive", rules }));
  const permissive = await runOnce(world, { script }, { env, policy });
  expect(permissive.code, permissive.said).toBe(0);
  const [list, upload] = bucket.requests.slice(1);
  expect([list?.method, upload?.method]).toEqual(["GET", "PUT"]);
  expect(upload?.body.endsWith("400000\n")).toBe(true);
  return /aws-cli\/(\S+)/.exec(permissive.said)?.[1] ?? "";
}

const LISTING = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>gatehouse-test</Name><Prefix></Prefix>
<KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>
<Contents><Key>report.txt</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>3</Size></Contents>
</ListBucketResult>`;
