// No client at all: Node's own fetch, on chatorch's own API.

import { serve } from "./harness.mjs";

async function chat({ url, token, model, ...members }, { tell, heard }) {
  const leaving = new AbortController();
  heard("leave").then(() => leaving.abort());
  const answer = await fetch(`${url}/api/chat/protected`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ messages: [{ role: "user", content: "Hi" }], stream: true, model, ...members }),
    signal: leaving.signal,
  });
  if (!answer.ok) return { status: answer.status, ...(await answer.json()) };
  tell("headers", { run: answer.headers.get("content-location") });
  let rest = "";
  for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").find((line) => line.startsWith("data: "));
      const event = data && JSON.parse(data.slice(6));
      if (event?.type === "message.delta") tell("text", { text: event.text });
      if (event?.type.startsWith("run.")) tell(event.type);
    }
  }
}

serve({ chat });
