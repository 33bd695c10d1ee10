# `make` or `make demo` on a fresh machine needs Python 3.11 or newer and nothing else. Works with GNU make 3.81.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RIVALS := .venv-bench
PY := $(BIN)/python
PYTEST := $(PY) -m pytest
# On two cores two processes; more only where there are more.
JOBS ?= auto
LIVE_LIKE := PLATFORM_MODE=live SITE_URL=https://gtm.example.com ALLOWED_HOSTS=gtm.example.com \
	SECRET_KEY=not-a-secret-but-long-enough-and-varied-for-the-deployment-check-0123456789 \
	FIELD_ENCRYPTION_KEYS=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= OPERATOR_EMAIL=ops@example.com \
	EMAIL_URL=smtp://mail.example.com:587 STRIPE_SECRET_KEY=sk_live_x STRIPE_WEBHOOK_SECRET=whsec_x \
	ZAPMAIL_API_KEY=x PLUSVIBE_API_KEY=x PLUSVIBE_AGENCY_WORKSPACE_ID=x HEYREACH_API_KEY=x PROVISIONING_TIME_SCALE=1

.DEFAULT_GOAL := demo
.PHONY: demo test chaos mutants check bench browser screens lint format clean help python

demo: $(VENV)/.base ## everything on this machine, with simulated platforms
	@$(PY) manage.py demo $(if $(PORT),--port $(PORT)) $(if $(SANDBOX_PORT),--sandbox-port $(SANDBOX_PORT))

test: $(VENV)/.dev ## the whole test suite; browser tests too where a Chromium is found
	@$(PYTEST) -n $(JOBS) --dist loadgroup $(ARGS)

chaos: $(VENV)/.dev ## crashes, faults, races and quotas, all of them; figures in var/chaos.json
	@GTM_CHAOS=whole $(PYTEST) tests/chaos -n $(JOBS) --dist loadgroup $(ARGS)

mutants: $(VENV)/.dev ## bugs put in on purpose, one at a time; each must be caught; var/mutants.json
	@$(PY) -m tests.mutants $(ARGS)

check: $(VENV)/.dev lint ## lint, types, layers, migrations in step with models, deployment settings
	$(PY) -m mypy
	$(BIN)/lint-imports --cache-dir .import_linter_cache
	$(PY) manage.py makemigrations --check --dry-run
	$(LIVE_LIKE) $(PY) manage.py check --deploy --fail-level WARNING

lint: $(VENV)/.dev ## ruff, without changing anything
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(VENV)/.dev ## ruff, mending what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(VENV)/.dev $(RIVALS)/.bench ## the benchmarks; ratios in var/bench.json
	@$(PY) manage.py bench

browser: $(VENV)/.dev ## the browser gate alone
	@GTM_REQUIRE_BROWSER=1 $(PYTEST) tests/browser $(ARGS)

screens: $(VENV)/.dev ## pictures of every page and state, in var/screens
	@GTM_REQUIRE_BROWSER=1 GTM_SCREENS=1 $(PYTEST) tests/browser -m screens $(ARGS)

clean: ## remove what can be made again; the demo's data in var/ stays
	rm -rf $(VENV) $(RIVALS) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache var/static

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile

# ---- the environment: made once, and again when its list of packages changes -----------------------------------------

python:
	@command -v $(PYTHON) >/dev/null 2>&1 || \
		{ echo "Python is missing: install Python 3.11 or newer, or name one with PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$$($(PYTHON) -V) is too old: install Python 3.11 or newer, or name one with PYTHON=python3.11"; exit 1; }
	@test -w . || { echo "No write permission in $(CURDIR): the environment and the data live there."; exit 1; }

$(VENV)/.base: requirements/base.txt | python
	@$(call install,requirements/base.txt,$(VENV))
	@touch $@

$(VENV)/.dev: requirements/dev.txt | python
	@$(call install,requirements/dev.txt,$(VENV))
	@touch $(VENV)/.base $@

$(RIVALS)/.bench: requirements/bench.txt | python
	@$(call install,requirements/bench.txt,$(RIVALS))
	@touch $@

# dev.txt holds base.txt with the same versions, so that each may follow the other.
define install
	echo "Installing $(1) into $(2) ..."; \
	if command -v uv >/dev/null 2>&1; then \
		{ test -x $(2)/bin/python || uv venv --quiet --python $(PYTHON) $(2); } && \
		uv pip install --quiet --python $(2)/bin/python --require-hashes -r $(1); \
	else \
		{ test -x $(2)/bin/python || $(PYTHON) -m venv $(2) || \
			{ echo "Python's venv module is missing: install it (on Debian: apt install python3-venv)."; exit 1; }; } && \
		$(2)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r $(1); \
	fi || { echo "Installing the packages failed; see above."; exit 1; }
endef
