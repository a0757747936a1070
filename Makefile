# Two commands do everything: `make run` and `make test`; both set up what they need first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

export DO_NOT_TRACK ?= 1
export PREFECT_SERVER_ANALYTICS_ENABLED ?= false
export GX_ANALYTICS_ENABLED ?= false
export MLFLOW_DISABLE_TELEMETRY ?= true
export TF_CPP_MIN_LOG_LEVEL ?= 2
# Seven processes that wait for evaluations of language models.
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION ?= false

.PHONY: help setup run test e2e test-backends torch check format bench ui deploy lock clean

help: ## Show this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## Make the virtual environment from the hashed lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "regrow needs Python 3.11, 3.12 or 3.13; received: $$($(PYTHON) --version 2>&1)."; \
	    echo "Name another one: make setup PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "this Python cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 2; }
	@echo "setting up $(VENV) (a few minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@# The lock names every package, so nothing is left to resolve.
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

MODEL ?= air-quality
run: $(STAMP) ## Train a model end to end: make run MODEL=image-similarity (default: air-quality)
	@$(BIN)/regrow run $(MODEL) --or-sample

torch: $(STAMP) ## Add PyTorch as a third backend: on Linux the build without NVIDIA libraries
	@$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[torch]' || \
	  { echo "PyTorch's build for CPUs is on its own package index, which its install page names:"; \
	    echo "add that with PIP_EXTRA_INDEX_URL, then make torch again"; exit 2; }

test: $(STAMP) ## Run the tests (TensorFlow backend), all but the stories of `make e2e`
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not e2e" --ignore=tests/test_backends.py

STORIES ?= tests
e2e: $(STAMP) ## Play refresh, a second worker, killed machines, the dashboard and operations (a quarter of an hour)
	@$(BIN)/python -m pytest -m e2e $(STORIES)

# Each of the two in processes of its own, as the backend is chosen once for a process. The layers'
# tests ask for float64, which JAX has only if told to; models are trained without it.
LAYERS := $(addprefix tests/test_,layers.py local_response_normalization.py tabular_layers.py \
  question_answering_layers.py)
MODELS := $(addprefix tests/test_,air_quality_model.py digit_localisation.py examples.py \
  deep_dream.py image_similarity.py inference.py stacked_autoencoder.py style_transfer.py vision.py)
test-backends: $(STAMP) ## Run the tests of layers and models on JAX and PyTorch, and compare all three
	@for backend in jax torch; do \
	  $(BIN)/python -c "import $$backend" 2>/dev/null || { echo "$$backend is not there: make $$backend"; exit 2; }; \
	  export KERAS_BACKEND=$$backend; \
	  JAX_ENABLE_X64=1 $(BIN)/python -m pytest $(LAYERS) -q -n 2 || exit 1; \
	  $(BIN)/python -m pytest $(MODELS) -q -n 2 --dist loadfile || exit 1; \
	done
	@$(BIN)/python -m pytest tests/test_backends.py

check: $(STAMP) ## Lint, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(STAMP) ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) ## Measure speed and quality; see benchmarks/RESULTS.md
	@$(BIN)/python benchmarks/training_speed.py
	@KERAS_BACKEND=jax $(BIN)/python benchmarks/training_speed.py
	@$(BIN)/python benchmarks/model_quality.py air-quality air-quality:book \
	  image-similarity digit-localisation stacked-autoencoder sentence-vectors:best:seeds=3
	@$(BIN)/python benchmarks/reuters_text_speed.py
	@$(BIN)/python benchmarks/sentence_vectors_speed.py
	@$(BIN)/python benchmarks/question_answering_speed.py
	@$(BIN)/python benchmarks/pictures_speed.py
	@$(BIN)/python benchmarks/question_answering_quality.py compare

PREFECT_PORT ?= 4200
MLFLOW_PORT ?= 5000
# The servers have process groups of their own (set -m): Ctrl-C ends the worker, which still can say
# goodbye to them, and then they are ended.
ui: $(STAMP) ## Prefect (port 4200), MLflow (port 5000) and a worker, on this machine only, with all deployed
	@export PATH="$$PWD/$(BIN):$$PATH" PREFECT_API_URL="http://127.0.0.1:$(PREFECT_PORT)/api"; \
	export REGROW_HOME="$${REGROW_HOME:-$$PWD/.regrow}"; mkdir -p "$$REGROW_HOME"; \
	[ -z "$$PREFECT_SERVER_API_AUTH_STRING" ] || \
	  export PREFECT_API_AUTH_STRING="$$PREFECT_SERVER_API_AUTH_STRING"; \
	for port in $(PREFECT_PORT) $(MLFLOW_PORT); do \
	  ! python -c "import socket; socket.create_connection(('127.0.0.1', $$port), 2)" 2>/dev/null || \
	  { echo "port $$port is in use; others: make ui PREFECT_PORT=4300 MLFLOW_PORT=5300"; exit 2; }; \
	done; \
	trap 'kill -- -$$mlflow -$$server 2>/dev/null; wait' EXIT; \
	set -m; \
	mlflow server --host 127.0.0.1 --port $(MLFLOW_PORT) --workers 1 \
	  --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$$REGROW_HOME/mlflow.db}" </dev/null & mlflow=$$!; \
	prefect server start --host 127.0.0.1 --port $(PREFECT_PORT) </dev/null & server=$$!; \
	set +m; \
	until python -c "import urllib.request as r; r.urlopen('$$PREFECT_API_URL/health')" 2>/dev/null; \
	do kill -0 $$server || exit 1; sleep 1; done; \
	regrow deploy || exit 1; \
	echo "Prefect: http://127.0.0.1:$(PREFECT_PORT)   MLflow: http://127.0.0.1:$(MLFLOW_PORT)   (Ctrl-C ends all)"; \
	echo "to send runs there: export PREFECT_API_URL=$$PREFECT_API_URL"; \
	prefect worker start --pool local

deploy: $(STAMP) ## Make pools, automations and deployments on the server of PREFECT_API_URL
	@$(BIN)/regrow deploy

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	  --quiet -o requirements.lock pyproject.toml

clean: ## Remove the virtual environment and tools' caches, never data or models
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
