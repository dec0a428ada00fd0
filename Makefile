# `make run` and `make test` need Python >= 3.11, pip and make; everything else is installed into .venv.
PYTHON ?= python3
VENV ?= .venv
RESOLVE_FOR ?= 3.12 3.13

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run test coverage lint bench bench-scale resolve wheel clean

run: $(INSTALLED)  ## train and evaluate VA-GNN on the embedded data set
	$(BIN)/python run_recbole.py --model=VAGNN

test: $(INSTALLED)  ## run the tests, two processes at once
	$(BIN)/python -m pytest -n 2 --dist loadfile

coverage: $(INSTALLED)  ## the same, and how much of the code they reach
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term --cov-fail-under=90

lint: $(INSTALLED)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)  ## speed and memory beside RecBole's own classes (minutes; wants a quiet machine)
	$(BIN)/python -W ignore benchmarks/bench.py

bench-scale: $(INSTALLED)  ## time and memory from 10^5 to 10^7 interactions
	$(BIN)/python -W ignore benchmarks/bench_scale.py

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps recbole==1.2.1
	touch $@

resolve: $(INSTALLED)  ## check that constraints.txt resolves for other Pythons, without installing anything
	@for version in $(RESOLVE_FOR); do \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed \
	    --python-version $$version --only-binary=:all: --target $(VENV)/resolve -c constraints.txt \
	    $$($(BIN)/python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*(d.replace(' ', '') for d in p['dependencies']))") \
	  && echo "Python $$version: resolves (not run)" || exit 1; done

wheel: $(INSTALLED)  ## build the wheel into dist/
	$(BIN)/python -m build --wheel

clean:  ## remove what the build made
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
