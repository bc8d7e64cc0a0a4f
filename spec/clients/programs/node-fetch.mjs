import { checkUpload, openUpload, staySearchable } from "./upload.mjs";

const [origin] = process.argv.slice(2);

async function ask(path, init) {
  const answer = await fetch(`${origin}${path}`, init);
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

await ask("/me");
checkUpload(await ask("/upload", { method: "POST", body: openUpload(), duplex: "half" }));
staySearchable();
