import { EnvHttpProxyAgent, request } from "undici";
import { checkUpload, openUpload, staySearchable } from "./upload.mjs";

const [origin] = process.argv.slice(2);
const dispatcher = new EnvHttpProxyAgent();

async function ask(path, options) {
  const { statusCode, body } = await request(`${origin}${path}`, { dispatcher, ...options });
  if (statusCode !== 200) throw new Error(`status ${statusCode}`);
  return body.json();
}

await ask("/me");
checkUpload(await ask("/upload", { method: "POST", body: openUpload() }));
staySearchable();
