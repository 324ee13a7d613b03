// A page of React's in jsdom, and what its user does in it, one after the other.

import { readFileSync } from "node:fs";

import { JSDOM } from "jsdom";

const { window } = new JSDOM("<!doctype html><main></main>", { pretendToBeVisual: true });
Object.assign(globalThis, { window, document: window.document });

const { createElement } = await import("react");
const { createRoot } = await import("react-dom/client");

// Renders `Page`, which calls `changed()` whenever it has something new to show
export function open(Page) {
  let changed = () => {};
  const root = createRoot(document.querySelector("main").appendChild(document.createElement("div")));
  root.render(createElement(Page));
  return {
    changed: () => queueMicrotask(() => changed()),
    until: async (holds) => {
      while (!holds()) await new Promise((resolve) => (changed = resolve));
    },
    close: () => root.unmount(),
  };
}

// `steps` are {do: the name of one of `actions`, ...what it is given}
export async function walk(steps, actions) {
  for (const { do: action, ...given } of steps) await actions[action](given);
}

// The block of this name in docs/clients.md, as a module
export async function documented(name) {
  const page = readFileSync(new URL("../../../docs/clients.md", import.meta.url), "utf8");
  const code = page.split("```js " + name + "\n")[1].split("\n```")[0];
  const there = code.replace(/from "(.+?)"/g, (_, module) => `from "${import.meta.resolve(module)}"`);
  return import("data:text/javascript," + encodeURIComponent(there));
}
