# make demo   installs into .venv, trains a small supernet and evaluates its subnets (minutes)
# make test   installs into .venv, runs lint and all tests
# make bench  the benchmark, beside PyTorch (installs it)

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

.PHONY: demo test bench

demo: .venv/installed
	$(BIN)/python -m launch.train_supernet --config configs/deps_digits.py --workdir runs/demo
	$(BIN)/python -m launch.evaluate_subnets --workdir runs/demo

test: .venv/installed
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --max-worker-restart 0

bench: .venv/installed
	$(BIN)/python -m pip install --quiet --editable .[bench]
	$(BIN)/python -m launch.bench

.venv/installed: setup.cfg
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; set PYTHON=')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .[test,export,nurture]
	touch $@
