# `make run` and `make test` set up what they need in .venv; nothing else is touched, but for the
# packages of Chromium and HAProxy, which `make test` installs where they are missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501
export WORKERS STATS_PORT

.PHONY: run serve test bench weights browser haproxy clean

run: $(VENV)/run.stamp
	$(BIN)/streamlit run server.py --server.port $(PORT)

# WORKERS servers behind HAProxy, for many visitors; without WORKERS, one for each core.
serve: $(VENV)/serve.stamp
	@PORT=$(PORT) $(BIN)/python -m deploy.serve

test: $(VENV)/test.stamp $(VENV)/serve.stamp browser haproxy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist worksteal -m "not browser"
	$(BIN)/pytest -n 2 --dist worksteal -m browser

bench: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks $(ARGS)

# The networks that come with the project, trained anew; an hour of one core.
weights: $(VENV)/run.stamp
	$(BIN)/python -m explorer.learning.project

$(VENV)/run.stamp: requirements.txt
	@$(PYTHON) install.py $(VENV) $<
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp requirements-test.txt requirements-ray.txt
	@$(PYTHON) install.py $(VENV) requirements-test.txt
	@touch $@

$(VENV)/bench.stamp: $(VENV)/test.stamp benchmarks/requirements.txt
	@$(PYTHON) install.py $(VENV) benchmarks/requirements.txt
	@touch $@

$(VENV)/serve.stamp: $(VENV)/run.stamp deploy/requirements.txt
	@$(PYTHON) install.py $(VENV) deploy/requirements.txt
	@touch $@

# The browser tests drive whatever Chromium is there; where there is none, Debian's is installed.
browser:
	@command -v chromium chromium-browser google-chrome > /dev/null || \
	  (apt-get update -qq && apt-get install -y -qq chromium > /dev/null)

# As are the tests of `make serve` with HAProxy.
haproxy:
	@PATH="$$PATH:/usr/sbin" command -v haproxy > /dev/null || \
	  (apt-get update -qq && apt-get install -y -qq haproxy > /dev/null)

clean:
	rm -rf $(VENV) artefacts dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
