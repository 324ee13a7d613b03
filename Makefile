# `make` alone lists the targets.

HOST := 127.0.0.1
PORT := 8000
# What to add to the command of test, soak, bench or lock, such as ARGS="-k resume"
ARGS :=
# For cases: lines of {"name", "response", "want": {"status", "text"}}
FILE :=
# Seconds that the tests, and those of the clients, may take; 0 is without a limit
TEST_LIMIT := 0
CLIENTS_LIMIT := 0

BIN := .venv/bin
# Several files of tests beside each other (tests/conftest.py): they mostly wait, for processes and for sockets
SPREAD := --numprocesses=4 --dist=loadfile --no-loadscope-reorder
STAMP := .venv/.installed
# Each process of the tests would compile everything anew
unexport PYTHONDONTWRITEBYTECODE
EXTRAS := --extra postgres --extra redis --extra chatkit --extra mcp
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install run test lint clients check soak proxies cases bench lock format clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# An install that was interrupted, moved or copied is made again, whatever the times of the files say
ifneq ($(shell [ -x $(BIN)/python ] && cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

$(STAMP): requirements/dev.txt pyproject.toml scripts/install.sh
	@PYTHON="$(PYTHON)" scripts/install.sh

install: $(STAMP)  ## Make .venv with everything in it, as locked (PYTHON=... picks the interpreter)

# A backslash that ends a line of it is eaten by make, so it goes by a name
BACKSLASH := \$()
define NEXT
chatorch serves http://$(HOST):$(PORT) until Ctrl-C. In another terminal, in this folder:

  echo 'correct horse battery' | $(BIN)/chatorch users add ada --password-stdin
  TOKEN=$$(curl -fsS http://$(HOST):$(PORT)/token -d grant_type=password -d username=ada $(BACKSLASH)
    -d 'password=correct horse battery' | sed 's/.*"access_token": *"\([^"]*\)".*/\1/')
  curl -N http://$(HOST):$(PORT)/api/chat/protected -H "Authorization: Bearer $$TOKEN" $(BACKSLASH)
    -H 'Content-Type: application/json' $(BACKSLASH)
    -d '{"messages": [{"role": "user", "content": "Hello"}], "stream": true}'

endef
export NEXT

run: install  ## Serve on 127.0.0.1:8000 (HOST=... PORT=...); the first time, write .env
	@[ -e .env ] || $(BIN)/chatorch init
	@printf '\n%s\n' "$$NEXT"
	@exec $(BIN)/chatorch serve --host $(HOST) --port $(PORT)

test: install  ## Run the tests (ARGS="-k resume" for some of them)
	@timeout --foreground --signal=INT --kill-after=30 $(TEST_LIMIT) $(BIN)/pytest -q $(SPREAD) $(ARGS) || \
	{ code=$$?; [ $$code -ne 124 ] || echo "The tests took longer than $(TEST_LIMIT) seconds." >&2; exit $$code; }

# Beside mypy, which uses one processor, all tests are loaded once; that also leaves them compiled for those who run them
lint: install  ## Check format, style, types and imports, and that all tests can be loaded
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pytest --collect-only -q tests/*/ >.venv/collected 2>&1 & loading=$$!; \
	$(BIN)/mypy; checked=$$?; wait $$loading || { cat .venv/collected; exit 1; }; exit $$checked
	$(BIN)/lint-imports

clients: install  ## Try the official clients of others against real servers (installs them, from npm too)
	@scripts/clients.sh
	@timeout --foreground --signal=INT --kill-after=30 $(CLIENTS_LIMIT) $(BIN)/pytest -q $(SPREAD) $(ARGS) tests/clients || \
	{ code=$$?; [ $$code -ne 124 ] || echo "The clients took longer than $(CLIENTS_LIMIT) seconds." >&2; exit $$code; }

check: TEST_LIMIT := 300
check: CLIENTS_LIMIT := 240
check: lint clients test  ## What must pass before a commit: lint, clients, and the tests in less than 5 minutes

soak: install  ## Run the tests with the full counts of the fault tests (long)
	@CHATORCH_SOAK=1 $(BIN)/pytest -q $(SPREAD) $(ARGS)

proxies: install  ## Try docs/proxies.md with nginx, haproxy and caddy, which apt installs where it may
	@command -v nginx haproxy caddy >/dev/null && [ $$(command -v nginx haproxy caddy | wc -l) = 3 ] || \
	{ [ "$$(id -u)" = 0 ] && apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends nginx haproxy caddy; } || \
	{ echo 'make proxies needs nginx, haproxy and caddy: apt-get install nginx haproxy caddy' >&2; exit 1; }
	@$(BIN)/pytest -q -m proxies $(ARGS) tests/e2e/test_proxies.py

cases: install  ## Try what providers send, from a file (FILE=...) or as the tests have it, and print a table
	@$(BIN)/python -m tests.support.provider_cases $(if $(FILE),"$(FILE)")

bench: install  ## Measure what it costs, beside its yardsticks (installs servers of others into .bench)
	@$(BIN)/python -m bench $(ARGS)

lock: install  ## Write requirements/*.txt from pyproject.toml (ARGS=--upgrade for newer releases)
	$(LOCK) $(ARGS) pyproject.toml $(EXTRAS) --output-file requirements/run.txt
	$(LOCK) $(ARGS) pyproject.toml $(EXTRAS) --group dev --constraint requirements/run.txt --output-file requirements/dev.txt
	$(LOCK) $(ARGS) --group build --constraint requirements/dev.txt --output-file requirements/build.txt
	$(LOCK) $(ARGS) --group clients --output-file requirements/clients.txt

format: install  ## Format the code and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:  ## Remove .venv, the clients and servers of others, caches and builds; .env and databases stay
	rm -rf .venv .bench tests/clients/.venv tests/clients/node_modules dist build .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
