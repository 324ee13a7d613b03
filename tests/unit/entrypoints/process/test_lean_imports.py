"""What is not loaded beside what is, and that it is there for whoever asks for it."""

import json
import subprocess
import sys

LEAN = """
import json, sys
from chatorch.entrypoints.process.lean_imports import SPARED, import_lean
import_lean()
others = [name for names in SPARED.values() for name in names]
loaded = [name for name in others if name in sys.modules]
import importlib, importlib.util
there = [name for name in others if importlib.util.find_spec(name)]
import rich.console
import jwt
signed = jwt.encode({"sub": "ann"}, "k" * 32, "HS256")
print(json.dumps([loaded, there, jwt.decode(signed, "k" * 32, ["HS256"])]))
"""


def test_what_is_spared_is_not_loaded_and_can_be_all_the_same():
    done = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, text=True, timeout=60, check=True)
    loaded, there, token = json.loads(done.stdout)
    assert loaded == []
    assert {"rich", "yaml", "cryptography"} <= set(there)
    assert token == {"sub": "ann"}
