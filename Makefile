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

.PHONY: help setup run test e2e fuzz torture test-backends torch check format bench ui deploy lock clean

help: ## Show this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## Create the virtual environment from the hashed lock file

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "regrow needs Python 3.11, 3.12 or 3.13; received: $$($(PYTHON) --version 2>&1)."; \
	    echo "Name another one: make setup PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "this Python cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 2; }
	@echo "setting up $(VENV) (a few minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@# The lock names every package, so nothing is left to resolve. Python compiles what it imports.
	@$(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

MODEL ?= air-quality
run: $(STAMP) ## Train a model end to end: make run MODEL=image-similarity (default: air-quality)
	@$(BIN)/regrow run $(MODEL) --or-sample

torch: $(STAMP) ## Install PyTorch as a third backend (on Linux without NVIDIA libraries)
	@$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[torch]' || \
	  { echo "PyTorch's build for CPUs is on its own package index, which its install page names:"; \
	    echo "add that with PIP_EXTRA_INDEX_URL, then make torch again"; exit 2; }

test: $(STAMP) ## Run the tests (TensorFlow backend) except those of `make e2e`
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not e2e" --ignore=tests/models/test_backends.py

STORIES ?= tests
e2e: $(STAMP) ## Run the end-to-end tests: refresh, workers, kills, dashboard, operations, training (half an hour)
	@$(BIN)/python -m pytest -m e2e $(STORIES)

SEED ?= 1
KILLS ?= 200
torture: $(STAMP) ## Kill operations at random moments and compare the results: KILLS=200 SEED=1
	@$(BIN)/python -m tests.torture --seed $(SEED) --kills $(KILLS)

INPUTS ?= 500
fuzz: $(STAMP) ## Test every reader with INPUTS (500) malicious files; prints counts and coverage (nightly)
	@$(BIN)/python -m tests.fuzz --inputs $(INPUTS)

# Each of the two in processes of its own, as the backend is chosen once for a process. The layers'
# tests ask for float64, which JAX has only if told to; models are trained without it.
LAYERS := tests/layers tests/models/test_question_answering_layers.py
MODELS := tests/training/test_inference.py tests/vision/test_vision.py $(addprefix tests/models/test_,air_quality_model.py \
  digit_localisation.py deep_dream.py image_similarity.py stacked_autoencoder.py style_transfer.py)
test-backends: $(STAMP) ## Run the tests of layers and models on JAX and PyTorch, and compare all backends
	@for backend in jax torch; do \
	  $(BIN)/python -c "import $$backend" 2>/dev/null || { echo "$$backend is not there: make $$backend"; exit 2; }; \
	  export KERAS_BACKEND=$$backend; \
	  JAX_ENABLE_X64=1 $(BIN)/python -m pytest $(LAYERS) -q -n 2 || exit 1; \
	  $(BIN)/python -m pytest $(MODELS) -q -n 2 --dist loadfile || exit 1; \
	done
	@$(BIN)/python -m pytest tests/models/test_backends.py

check: $(STAMP) ## Check style, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(STAMP) ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) ## Measure speed and quality; see benchmarks/RESULTS.md
	@$(BIN)/python benchmarks/training_speed.py
	@$(BIN)/python benchmarks/busy_cores.py
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
ui: $(STAMP) ## Start Prefect (port 4200), MLflow (port 5000) and a worker on this machine, and deploy all flows
	@$(BIN)/regrow ui --port $(PREFECT_PORT) --mlflow-port $(MLFLOW_PORT) $(UI_OPTIONS)

deploy: $(STAMP) ## Create pools, automations and deployments on the server in PREFECT_API_URL
	@$(BIN)/regrow deploy

lock: ## Resolve the dependencies again (requires uv)
	uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	  --quiet -o requirements.lock pyproject.toml

clean: ## Remove the virtual environment and tool caches, but no data or models
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
