# Each target sets up what it needs: a virtual environment in .venv, made with $(PYTHON) >= 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Threads spin for a moment where they wait. For longer, they hold a core that another process needs,
# which then takes much longer; not at all, and a machine without other work takes twice as long.
export GOMP_SPINCOUNT ?= 1000
# Tests that run at once; each may take two gigabytes. Some wait, so three keep two cores busy.
JOBS ?= 3

.PHONY: help demo test lab notebooks bench format zoo
help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "kdviz needs Python 3.11 or newer; found: $$($(PYTHON) --version). Try make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar on -e '.[all]'
	@touch $@

demo: $(READY)  ## run every notebook headless, leave runs/demo/index.html
	$(BIN)/kdviz notebooks run --profile smoke --html --out runs/demo

# Several notebooks at once share the cores: more threads in each would only wait for each other.
test: export OMP_NUM_THREADS = 1
test: $(READY)  ## lint, check types, test, execute the notebooks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -n $(JOBS) --dist loadfile --nbval-lax notebooks
	$(BIN)/pytest -n $(JOBS) --dist worksteal

lab: $(READY)  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

notebooks: $(READY)  ## execute the notebooks and store their outputs in them
	$(BIN)/python -m kdviz.runs.store
	$(BIN)/python -m kdviz.runs.papers
	$(BIN)/python -m kdviz.runs.readme

bench: $(READY)  ## measure speed, write runs/bench
	@$(BIN)/python -c 'import tidecv' 2>/dev/null || $(BIN)/python -m pip install --quiet -e '.[bench]' \
	  || echo "no tidecv: nothing is compared with it"
	$(BIN)/python -m kdviz.runs.bench

zoo: $(READY)  ## train the embedded checkpoints anew, about an hour on 2 cores
	$(BIN)/python -m kdviz.runs.zoo

format: $(READY)  ## format and sort imports
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
