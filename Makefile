# Every target that runs something first makes sure that the set-up is complete.
#
# Options, as in `make sim CHIP=tiny SIM=icarus`, reach the command only when they are set, and
# through the environment, so that no value needs quoting here.

PYTHON ?= python3
ARGS ?=
export CHIP NET SIM READ_MODE IMAGES

# The first `verilator` that anything started from here finds is the one the set-up chose. The
# variables that make leaves for a make below it would end up in the simulators' own makefiles.
IN_VENV := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u PYTHONPATH -u PYTHONHOME \
	-u VERILATOR_ROOT PATH="$(CURDIR)/.venv/bin:$$PATH" VIRTUAL_ENV="$(CURDIR)/.venv"
CADUCEUS := $(IN_VENV) python -m caduceus
# As many workers as cores, so each with one thread of linear algebra.
PYTEST := $(IN_VENV) OMP_NUM_THREADS=1 python -m pytest -n auto --maxprocesses 8 --dist loadgroup

# Each is nothing at all when its variable is empty, and one word otherwise.
CHIP_OPTION := $${CHIP:+"--chip=$$CHIP"}
NET_OPTION := $${NET:+"--net=$$NET"}
RUN_OPTIONS := $(CHIP_OPTION) $(NET_OPTION) $${SIM:+"--sim=$$SIM"} \
	$${READ_MODE:+"--read-mode=$$READ_MODE"} $${IMAGES:+"--images=$$IMAGES"}

.DEFAULT_GOAL := help
.PHONY: help setup sim compile test regress verilog waves lint format formal bench accuracy train clean distclean

help: ## List the targets and their options
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Options: CHIP=hermes|caduceus|tiny  NET=<network>  SIM=verilator|icarus"
	@echo "         READ_MODE=1-phase|4-phase  IMAGES=<count>  PYTHON=<interpreter>"
	@echo "         ARGS=<more options for the command>"

setup: ## Install what is missing (every other target does it too)
	@command -v "$(PYTHON)" >/dev/null || { echo "caduceus set-up: There is no $(PYTHON) here:" \
		"install Python 3.11 or newer, or name one, as in make PYTHON=python3.11 sim." >&2; exit 1; }
	@"$(PYTHON)" tools/setup.py

sim: setup ## Run ResNet-9 and an LSTM on the 64-tile chip, or NET=, in RTL against golden
	@$(CADUCEUS) sim $(RUN_OPTIONS) $(ARGS)

test: setup ## Run the tests
	@$(PYTEST) $(ARGS)

regress: setup ## Run the tests and the deeper ones, which take much longer and want PyTorch
	@"$(PYTHON)" tools/setup.py --train
	@$(PYTEST) -m "regress or not regress" $(ARGS)

compile: setup ## Map a network (NET=) to a whole chip and show what goes where
	@$(CADUCEUS) compile $(CHIP_OPTION) $(NET_OPTION) $${READ_MODE:+"--read-mode=$$READ_MODE"} $(ARGS)

verilog: setup ## Write the Verilog of the chip and of a tile alone, and check it
	@$(CADUCEUS) verilog $(CHIP_OPTION) $(ARGS)

waves: setup ## Run one image on the small chip and leave its waveforms as FST
	@CHIP="$${CHIP:-tiny}" IMAGES="$${IMAGES:-1}" NET="$${NET:-resnet_tiny}"; $(CADUCEUS) sim --waves $(RUN_OPTIONS) $(ARGS)

lint: setup ## Check style and formatting
	@$(IN_VENV) ruff check . && $(IN_VENV) ruff format --check .

format: setup ## Format the code and sort its imports
	@$(IN_VENV) ruff check --fix . && $(IN_VENV) ruff format .

formal: setup ## Prove properties of FIFOs, credits, arbiter and packet switch; find seeded bugs
	@$(IN_VENV) python -m formal $(ARGS)

bench: setup ## Measure speed
	@$(CADUCEUS) bench $(ARGS)

accuracy: setup ## Run the golden model over the whole test set (installs it first)
	@case "$${NET:-}" in \
		lstm_tiny) ;; \
		*lstm_ptb*) "$(PYTHON)" tools/setup.py --text ;; \
		*) "$(PYTHON)" tools/setup.py --dataset ;; \
	esac
	@$(CADUCEUS) accuracy $(CHIP_OPTION) $(NET_OPTION) $${READ_MODE:+"--read-mode=$$READ_MODE"} \
		$${IMAGES:+"--images=$$IMAGES"} $(ARGS)

train: setup ## Train the networks again (installs PyTorch and the data sets first)
	@"$(PYTHON)" tools/setup.py --train
	@$(IN_VENV) python -m train $(ARGS)

clean: ## Remove what was built and measured; the set-up stays
	rm -rf build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## Remove .venv as well; the Verilator in the user's cache stays
	rm -rf .venv caduceus.egg-info
