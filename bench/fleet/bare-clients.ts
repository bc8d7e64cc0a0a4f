// Connections with one idle stream each, to the port of the first argument. Told how many, it says when they stand.
import { type ClientHttp2Session, connect } from "node:http2";

const LANES = 16;
const sessions: ClientHttp2Session[] = [];

process.on("message", (count: number) => {
  void openAll(count).then(() => process.send?.({ kind: "done" }));
});
process.on("disconnect", () => {
  for (const session of sessions) session.destroy();
});
process.send?.({ kind: "ready" });

async function openAll(count: number): Promise<void> {
  const lane = async () => {
    while (sessions.length < count) await openOne();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

function openOne(): Promise<void> {
  // Nobody else is asked: the server of the same bench, by a certificate that signs itself.
  const session = connect(`https://127.0.0.1:${process.argv[2]}`, { rejectUnauthorized: false });
  sessions.push(session);
  session.on("error", () => undefined);
  return new Promise((resolve) => {
    const stream = session.request({ ":method": "POST", ":path": "/" }, { endStream: false });
    stream.on("error", () => undefined);
    stream.once("data", () => resolve());
  });
}
