"""An MCP server over stdio that does what no decent one does: without any package, so that it starts at once.

``python -S tests/support/mcp_toy.py [stubborn]``: `stubborn` ends neither with its stdin nor by SIGTERM, and leaves a
child behind whose pid its tool `pids` tells.
"""

import json
import os
import signal
import subprocess
import sys
import time

TOOL = {"name": "toy", "inputSchema": {"type": "object"}}


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def answer(number: object, result: object) -> None:
    say(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}) + "\n")


def text(number: object, said: str) -> None:
    answer(number, {"content": [{"type": "text", "text": said}]})


def flood(number: object, size: int, *, is_id_last: bool) -> None:
    piece = "x" * 65536
    member = f'"id":{number}'
    say('{"jsonrpc":"2.0",' + ("" if is_id_last else f"{member},") + '"result":{"content":[{"type":"text","text":"')
    for _ in range(size // len(piece)):
        say(piece)
    say('"}]}' + (f",{member}" if is_id_last else "") + "}\n")


def drip(number: object) -> None:
    say(f'{{"jsonrpc":"2.0","id":{number},"result":')
    while True:
        say(" ")
        time.sleep(0.05)


def call(number: object, arguments: dict) -> None:
    match arguments["do"]:
        case "say":
            text(number, arguments["text"])
        case "mutter" | "die":
            sys.stderr.write(arguments["text"] + "\n")
            sys.stderr.flush()
            if arguments["do"] == "die":
                os._exit(1)
            text(number, "muttered")
        case "flood":
            flood(number, arguments["size"], is_id_last=arguments.get("last", False))
        case "drip":
            drip(number)
        case "pids":
            text(number, f"{os.getpid()} {child.pid if child else 0}")
        case "surrogate":
            say(f'{{"jsonrpc":"2.0","id":{number},"result":{{"content":[{{"type":"text","text":"\\ud800"}}]}}}}\n')
        case "error":
            say(json.dumps({"jsonrpc": "2.0", "id": number, "error": {"code": -32602, "message": "no\0 x"}}) + "\n")


child = None
is_stubborn = sys.argv[1:] == ["stubborn"]
if is_stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "300"])
for line in sys.stdin:
    asked = json.loads(line)
    match asked.get("method"):
        case "initialize":
            info = {"name": "toy", "version": "1"}
            answer(asked["id"], {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info})
        case "tools/list":
            answer(asked["id"], {"tools": [TOOL]})
        case "tools/call":
            call(asked["id"], asked["params"]["arguments"])
        case _ if "id" in asked and "method" in asked:
            error = {"code": -32601, "message": "Method not found"}
            say(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}) + "\n")
while is_stubborn:
    time.sleep(60)
