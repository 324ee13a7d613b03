// assistant-ui's runtime for the AI SDK, with its own transport, in a page.

import { JSDOM } from "jsdom";

import { serve } from "./harness.mjs";

const { window } = new JSDOM("<!doctype html><main></main>", { pretendToBeVisual: true });
Object.assign(globalThis, { window, document: window.document });

const { createElement } = await import("react");
const { createRoot } = await import("react-dom/client");
const { AssistantRuntimeProvider } = await import("@assistant-ui/react");
const { AssistantChatTransport, useChatRuntime } = await import("@assistant-ui/react-ai-sdk");

const textOf = (message) => message.content.map((part) => (part.type === "text" ? part.text : "")).join("");

// Says each of `texts` when the one before is answered, and has the last answer given once more where it says `again`
async function chat({ url, token, model, texts, again }, { tell }) {
  const transport = new AssistantChatTransport({
    api: `${url}/api/ai-sdk`,
    headers: { authorization: `Bearer ${token}` },
    body: { model },
  });
  let runtime;
  function Page() {
    runtime = useChatRuntime({ transport });
    return createElement(AssistantRuntimeProvider, { runtime });
  }
  const root = createRoot(document.querySelector("main").appendChild(document.createElement("div")));
  root.render(createElement(Page));
  while (!runtime) await new Promise((resolve) => setImmediate(resolve));
  const { thread } = runtime;
  const answered = (count) =>
    new Promise((resolve) => {
      const look = () => {
        const { messages, isRunning } = thread.getState();
        if (messages.length < count || isRunning || messages.at(-1).status?.type === "running") return;
        if (messages.at(-1).role === "assistant") resolve(stop());
      };
      const stop = thread.subscribe(look);
      look();
    });
  for (const [index, text] of texts.entries()) {
    const told = answered(2 * index + 2);
    thread.append(text);
    await told;
    tell("answered");
  }
  if (again) {
    const before = thread.getState().messages.at(-1).id;
    thread.getMessageById(before).reload();
    const other = () => thread.getState().messages.at(-1)?.id !== before && !thread.getState().isRunning;
    await new Promise((resolve) => {
      const stop = thread.subscribe(() => other() && thread.getState().messages.at(-1)?.role === "assistant" && resolve(stop()));
    });
  }
  const said = thread.getState().messages.map((message) => ({ role: message.role, text: textOf(message), status: message.status }));
  root.unmount();
  return { said, error: thread.getState().messages.at(-1).status?.error };
}

serve({ chat });
