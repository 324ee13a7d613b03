// `useChat` of @ai-sdk/react in a page, with the transport that it has by default: of `ai` 7, or of `ai` 6.

import { JSDOM } from "jsdom";
import { described, serve } from "./harness.mjs";

const { window } = new JSDOM("<!doctype html><main></main>", { pretendToBeVisual: true });
Object.assign(globalThis, { window, document: window.document });

const { createElement } = await import("react");
const { createRoot } = await import("react-dom/client");
const SDKS = {
  7: { ...(await import("ai")), ...(await import("@ai-sdk/react")) },
  6: { ...(await import("ai-6")), ...(await import("@ai-sdk/react-6")) },
};

const textOf = (message) => message?.parts.map((part) => (part.type === "text" ? part.text : "")).join("") ?? "";

// A page that shows the chat. `steps` are what its user does, one after the other
async function chat({ version, url, token, model, chat, steps, messages, resume, api = "/api/ai-sdk" }, { tell, heard }) {
  const { Chat, DefaultChatTransport, useChat } = SDKS[version];
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const transport = new DefaultChatTransport({
    api: `${url}${api}${version === 6 ? "?v=6" : ""}`,
    headers,
    body: model ? { model } : {},
  });
  const finishes = [];
  const talk = new Chat({
    ...{ id: chat, transport, messages },
    onFinish: ({ isAbort, isError, finishReason }) => finishes.push({ isAbort, isError, finishReason }),
  });
  let page;
  let changed = () => {};
  let shown = "";
  function Page() {
    page = useChat({ chat: talk, resume });
    const text = textOf(page.messages.at(-1));
    if (page.messages.at(-1)?.role === "assistant" && text !== shown) tell("shows", { text: (shown = text) });
    queueMicrotask(() => changed());
    return null;
  }
  const root = createRoot(document.querySelector("main").appendChild(document.createElement("div")));
  root.render(createElement(Page));
  const until = async (holds) => {
    while (!page || !holds()) await new Promise((resolve) => (changed = resolve));
  };
  const upToDate = () => page.status === talk.status && textOf(page.messages.at(-1)) === textOf(talk.messages.at(-1));
  await until(() => true);
  let asked;
  const actions = {
    send: ({ text, messageId, ...message }) => void (asked = page.sendMessage({ text, messageId, ...message })),
    regenerate: ({ messageId }) => void (asked = page.regenerate({ messageId })),
    resume: () => void (asked = page.resumeStream()),
    stop: () => page.stop(),
    end: () => fetch(`${url}${api}/${encodeURIComponent(chat)}/stop`, { method: "POST", headers }),
    load: async () => {
      const answer = await fetch(`${url}${api}/${encodeURIComponent(chat)}/messages`, { headers });
      page.setMessages((await answer.json()).data);
    },
    settled: async () => {
      await asked;
      await until(() => upToDate() && ["ready", "error"].includes(page.status));
    },
    shows: ({ text }) => until(() => textOf(page.messages.at(-1)).includes(text)),
    over: () => until(() => finishes.length > 0),
    heard: ({ word }) => heard(word),
    tell: ({ word }) => tell(word),
  };
  for (const { do: action, ...given } of steps) await actions[action](given);
  await until(upToDate);
  const told = { status: page.status, messages: page.messages, error: page.error && described(page.error), finishes };
  root.unmount();
  return JSON.parse(JSON.stringify(told));
}

serve({ chat });
