// What every client's file here stands on; tests/support/client_process.py says what goes over the pipes.

import { createInterface } from "node:readline";

class Task {
  #said = [];
  #waiting = new Map();

  constructor(number) {
    this.number = number;
  }

  // What its user would notice
  tell(name, values = {}) {
    process.stdout.write(JSON.stringify({ call: this.number, told: name, ...values }) + "\n");
  }

  // Resolves once the test has said this word
  heard(word) {
    if (this.#said.includes(word)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.set(word, resolve));
  }

  hear(word) {
    this.#said.push(word);
    this.#waiting.get(word)?.();
  }
}

// An error as the client gives it to who calls it
export function described(error) {
  const members = {};
  for (const name of ["name", "status", "code", "param", "requestID", "statusCode", "isRetryable", "responseBody", "payload"]) {
    if (error?.[name] !== undefined) members[name] = error[name];
  }
  return {
    type: error?.constructor?.name ?? typeof error,
    message: String(error?.message ?? error),
    body: error?.error,
    cause: error?.cause === undefined ? undefined : String(error.cause?.message ?? error.cause),
    ...members,
  };
}

// `actions` by their names: async (given, {tell, heard}) => what it comes to
export function serve(actions) {
  const tasks = new Map();
  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const { call, do: action, given, say } = JSON.parse(line);
    if (say !== undefined) return tasks.get(call).hear(say);
    const task = new Task(call);
    tasks.set(call, task);
    try {
      const value = await actions[action](given, { tell: task.tell.bind(task), heard: task.heard.bind(task) });
      task.tell("done", { value: value ?? null });
    } catch (error) {
      task.tell("raised", { error: described(error) });
    }
  });
  lines.on("close", () => process.exit());
}
