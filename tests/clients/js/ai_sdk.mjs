// `useChat` of @ai-sdk/react in a page, with the transport that it has by default: of `ai` 7, or of `ai` 6; and with the
// lines of docs/clients.md.

import { described, serve } from "./harness.mjs";
import { documented, open, walk } from "./page.mjs";

const SDKS = {
  7: { ...(await import("ai")), ...(await import("@ai-sdk/react")) },
  6: { ...(await import("ai-6")), ...(await import("@ai-sdk/react-6")) },
};

const { chatorchChat } = await documented("chatorch-chat.js");
const { overSocket } = await documented("chatorch-socket.js");

const textOf = (message) => message?.parts.map((part) => (part.type === "text" ? part.text : "")).join("") ?? "";

// A page that has tools of its own, whose outputs are `outputs` by their names, goes on by itself
function ownTools({ version, outputs }, talk, carriedOut) {
  const { lastAssistantMessageIsCompleteWithToolCalls, lastAssistantMessageIsCompleteWithApprovalResponses } = SDKS[version];
  const onToolCall = ({ toolCall: { dynamic, toolName: tool, toolCallId } }) => {
    if (dynamic) return;
    carriedOut.push(toolCallId);
    if (!(tool in outputs)) return;
    const output = outputs[tool];
    talk().addToolOutput(
      output.error ? { state: "output-error", tool, toolCallId, errorText: output.error } : { tool, toolCallId, output },
    );
  };
  const sendAutomaticallyWhen = (given) =>
    lastAssistantMessageIsCompleteWithToolCalls(given) || lastAssistantMessageIsCompleteWithApprovalResponses(given);
  return { onToolCall, sendAutomaticallyWhen };
}

function chatOf({ version, over = "http", url, token, model, tools, outputs, chat, messages, onFinish, carriedOut }) {
  const { Chat, DefaultChatTransport, WebSocketChatTransport } = SDKS[version];
  const body = { ...(model ? { model } : {}), ...(tools ? { tools } : {}) };
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const transport = {
    http: () => new DefaultChatTransport({ api: `${url}/api/ai-sdk${version === 6 ? "?v=6" : ""}`, headers, body }),
    ws: () => overSocket({ url, token: () => token, body }),
    "ws, token in handshake": () =>
      new WebSocketChatTransport({ url: `${url}/ws/ai-sdk`, protocols: ["chatorch.v1", `bearer.${token}`], body }),
  }[over]();
  const own = outputs ? ownTools({ version, outputs }, () => talk, carriedOut) : {};
  const talk = new Chat({ id: chat, transport, messages, onFinish, ...own });
  return talk;
}

// A page that shows the chat. `steps` are what its user does, one after the other
async function chat({ steps, resume, documented, ...given }, { tell, heard }) {
  const { version, url, token, model, chat } = given;
  const at = (what) => `${url}/api/ai-sdk/${encodeURIComponent(chat)}/${what}`;
  const headers = { authorization: `Bearer ${token}` };
  const [finishes, carriedOut] = [[], []];
  const onFinish = ({ isAbort, isError, finishReason }) => finishes.push({ isAbort, isError, finishReason });
  const talk = documented
    ? await chatorchChat({ url, token: () => token, id: chat, body: { model } })
    : chatOf({ ...given, onFinish, carriedOut });
  const { useChat } = SDKS[version];
  let page;
  let shown = "";
  function Page() {
    page = useChat({ chat: talk, resume });
    const text = textOf(page.messages.at(-1));
    if (page.messages.at(-1)?.role === "assistant" && text !== shown) tell("shows", { text: (shown = text) });
    changed();
    return null;
  }
  const { changed, until, close } = open(Page);
  const upToDate = () => page.status === talk.status && textOf(page.messages.at(-1)) === textOf(talk.messages.at(-1));
  await until(() => page);
  const called = (state) => page.messages.at(-1)?.parts.filter((part) => part.toolCallId && part.state === state) ?? [];
  let asked;
  const actions = {
    send: ({ text, messageId, ...message }) => void (asked = page.sendMessage({ text, messageId, ...message })),
    regenerate: ({ messageId }) => void (asked = page.regenerate({ messageId })),
    resume: () => void (asked = page.resumeStream()),
    stop: () => page.stop(),
    end: () => (documented ? talk.end() : fetch(at("stop"), { method: "POST", headers })),
    comeBack: () => void (asked = talk.comeBack()),
    load: async () => page.setMessages((await (await fetch(at("messages"), { headers })).json()).data),
    settled: async () => {
      await asked;
      await until(() => upToDate() && ["ready", "error"].includes(page.status));
    },
    decide: ({ approved, reason, which = 0 }) =>
      page.addToolApprovalResponse({ id: called("approval-requested")[which].approval.id, approved, reason }),
    output: ({ tool, output }) => page.addToolOutput({ tool, toolCallId: called("input-available")[0].toolCallId, output }),
    called: ({ state }) => until(() => called(state).length > 0),
    shows: ({ text }) => until(() => textOf(page.messages.at(-1)).includes(text)),
    over: () => until(() => finishes.length > 0),
    heard: ({ word }) => heard(word),
    tell: ({ word }) => tell(word),
  };
  await walk(steps, actions);
  await until(upToDate);
  const told = { status: page.status, messages: page.messages, error: page.error && described(page.error), finishes, carriedOut };
  close();
  talk.transport.close?.(); // a socket would outlive its page
  return JSON.parse(JSON.stringify(told));
}

// What the client's own parser and fold make of streams, each in pieces of a few bytes
async function fold({ version, streams }) {
  const { DefaultChatTransport, readUIMessageStream } = SDKS[version];
  const messages = [];
  for (const [index, stream] of streams.entries()) {
    const bytes = new TextEncoder().encode(stream);
    const size = 1 + ((index * 37) % 997);
    const body = ReadableStream.from((function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
    })());
    const transport = new DefaultChatTransport({ fetch: async () => new Response(body) });
    const chunks = await transport.sendMessages({ chatId: "x", messages: [], trigger: "submit-message" });
    let last;
    for await (const message of readUIMessageStream({ stream: chunks, terminateOnError: true })) last = message;
    messages.push(last);
  }
  return messages;
}

serve({ chat, fold });
