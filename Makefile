# Every command of this repository. The first target that runs makes the virtual environment; nothing else is needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DOCKER ?= docker

.DEFAULT_GOAL := help
.PHONY: help demo run sandbox image image-test cluster-test chart test chaos check format lint types contracts bench lock clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(READY): requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "the broker needs Python 3.11 or later; try: make PYTHON=python3.13")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## tell the whole story with real processes: embedded Valkey, sandbox upstream, broker
	$(BIN)/python -m sandbox.demo

run: $(READY) ## the same processes, left running, with curl commands to paste
	$(BIN)/python -m sandbox.demo --keep-running

sandbox: $(READY) ## only the stand-in BigCommerce B2B Edition
	$(BIN)/python -m sandbox

image: ## the container image, by docker or DOCKER=podman; PYTHON_IMAGE=… names another base, BUILD=… more options
	$(DOCKER) build $(BUILD) -t b2b-credential-broker --build-arg REVISION=$$(git rev-parse HEAD) $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) .

image-test: $(READY) image ## the image at work, as the chart runs it, against Valkey and the sandbox; RUN=… more options
	PATH="$$(.ci/helm):$$PATH" DOCKER="$(DOCKER)" RUN="$(RUN)" $(BIN)/pytest -m image tests/image

cluster-test: $(READY) ## the chart on a real control plane of Kubernetes; ten minutes the first time, to build it
	PATH="$$(.ci/kubernetes):$$(.ci/helm):$$PATH" $(BIN)/pytest -m cluster tests/cluster

chart: $(READY) ## write anew what comes from the chart: the table of its README, and deploy/kubectl.yaml
	$(BIN)/python -m tests.support.chart_readme
	PATH="$$(.ci/helm):$$PATH" $(BIN)/python -m tests.support.chart_manifests

test: $(READY) ## every test, real Valkey included
	$(BIN)/pytest

chaos: $(READY) ## the long proofs: kill -9 at every point, again and again; about twenty minutes
	$(BIN)/pytest -m chaos tests

check: $(READY) ## what CI runs: format, lint, types, contracts, tests with branch coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --cov --cov-report=term

format: $(READY) ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(READY) ## ruff, all rules
	$(BIN)/ruff check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

contracts: $(READY) ## who may import whom
	$(BIN)/lint-imports

bench: $(READY) ## mint, redeem and proxy against floors, as ratios
	$(BIN)/python -m bench

lock: $(READY) ## resolve the dependencies again and pin them with hashes
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml --all-extras --group dev -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml --all-extras -c requirements-dev.lock -o requirements-all.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --group build -c requirements-dev.lock -o requirements-build.lock

clean: ## remove what the commands above made
	rm -rf $(VENV) .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
