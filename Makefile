# MPP from a checkout: `make run` shows the gateway at work, `make test` runs every test against real servers.
# Everything Python goes into .venv from locked requirements; Debian packages only by packaging/apt.sh, which says so first.

VENV    ?= .venv
# The distribution's Python first: it is built with profile-guided optimisation, and MPP then costs a quarter less CPU.
PYTHON  ?= $(shell for need in 'import ensurepip, venv' pass; do \
               for p in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do \
                   $$p -c "import sys; assert sys.version_info >= (3, 11); $$need" 2>/dev/null && echo $$p && exit; \
               done; done)
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST  := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help run demo install dev test check style conformance faults bench soak fuzz needs scanners peers clean

help:
	@echo 'make run          the gateway with SpamAssassin, ClamAV and sample mail, until Ctrl-C'
	@echo 'make demo         the same, and ends by itself'
	@echo 'make install      the command $(BIN)/mpp'
	@echo 'make check        format, lint, types, floors, unit and property tests: within a minute or two'
	@echo 'make test         all tests, against real servers'
	@echo 'make conformance  the tests against Postfix, swaks, spamd, clamd only'
	@echo 'make faults       the tests in which servers, disk and workers fail'
	@echo 'make soak         the same faults, many more times'
	@echo 'make fuzz         broken attachments by chance for ten minutes, through the confined process'
	@echo 'make bench        MPP and what a user would run instead, measured in one run'

run: $(VENV)/.stamp-run scanners
	@$(BIN)/mpp demo

demo: $(VENV)/.stamp-run scanners
	@$(BIN)/mpp demo --once

install: $(VENV)/.stamp-run
	@echo 'installed: $(BIN)/mpp'

dev: $(VENV)/.stamp-dev

test: $(VENV)/.stamp-dev peers style
	$(PYTEST) tests

check: $(VENV)/.stamp-dev style
	$(PYTEST) tests/unit tests/properties -m 'not slow'

style: $(VENV)/.stamp-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

conformance: $(VENV)/.stamp-dev peers
	$(PYTEST) tests/conformance

faults: $(VENV)/.stamp-dev peers
	$(PYTEST) tests/faults

soak: $(VENV)/.stamp-dev peers
	MPP_SOAK=1 $(PYTEST) tests/faults --timeout=3600

fuzz: $(VENV)/.stamp-dev peers
	MPP_FUZZ_S=$${MPP_FUZZ_S:-600} $(PYTEST) tests/properties/test_attachments_fuzz.py -s --timeout=7200

bench: $(VENV)/.stamp-bench
	@packaging/apt.sh bench
	$(BIN)/python -m bench

# What Debian packages bring. Neither ends the call where it may not install: it says what is missing.
scanners:
	@packaging/apt.sh scanners

peers:
	@packaging/apt.sh peers

# Set-up, done once: a second call sees the stamps.
$(VENV)/bin/python: | needs
	$(PYTHON) -m venv $(VENV)

$(VENV)/.stamp-run: requirements.txt requirements-build.txt pyproject.toml | $(VENV)/bin/python
	@echo 'installing the locked requirements into $(VENV)'
	@$(PIP) install --require-hashes -r requirements.txt -r requirements-build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.stamp-dev: requirements-dev.txt $(VENV)/.stamp-run
	@echo 'installing the locked requirements of the tests into $(VENV)'
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/.stamp-bench: requirements-bench.txt $(VENV)/.stamp-dev
	@$(PIP) install --require-hashes -r requirements-bench.txt
	@touch $@

needs:
	@missing=; \
	command -v git >/dev/null || missing="$$missing git"; \
	if test -z '$(PYTHON)'; then \
	    if python3 -c '' 2>/dev/null; then \
	        echo "MPP needs Python 3.11 or later; `python3 --version` is here. Name another: make PYTHON=/path/to/python3.11" >&2; exit 1; \
	    fi; \
	    missing="$$missing python3 python3-venv"; \
	elif ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then missing="$$missing python3-venv"; fi; \
	if test -n "$$missing"; then \
	    echo "Missing:$$missing. This installs it:  apt-get install$$missing   (as root, or with sudo)" >&2; exit 1; \
	fi

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
