# Every target that runs something first makes sure that the set-up is complete.
#
# Options, as in `make sim CHIP=tiny SIM=icarus`, reach the command only when they are set, and
# through the environment, so that no value needs quoting here.

PYTHON ?= python3
ARGS ?=
export CHIP NET DATA CALIBRATE WEIGHTS SIM READ_MODE IMAGES SEQUENCES JOBS SCHEDULER THREADS PCM SEED AGE SEEDS DEVICES TARGET
export BLOCK WAVES REFERENCE
# For Python paths and files are UTF-8, whatever the locale.
export PYTHONUTF8 := 1

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
DATA_OPTION := $${DATA:+"--data=$$DATA"} $${CALIBRATE:+"--calibrate=$$CALIBRATE"}
READ_MODE_OPTION := $${READ_MODE:+"--read-mode=$$READ_MODE"}
DEVICE_OPTIONS := $${PCM:+"--pcm=$$PCM"} $${SEED:+"--seed=$$SEED"} $${AGE:+"--age=$$AGE"}
RUN_OPTIONS := $(CHIP_OPTION) $(NET_OPTION) $(DATA_OPTION) $${SIM:+"--sim=$$SIM"} \
	$(READ_MODE_OPTION) $${IMAGES:+"--images=$$IMAGES"} $(DEVICE_OPTIONS)
SCHEDULER_OPTION := $${SCHEDULER:+"--scheduler=$$SCHEDULER"}
SHARED_OPTIONS := $${SEQUENCES:+"--sequences=$$SEQUENCES"} $${JOBS:+"--jobs=$$JOBS"} \
	$(SCHEDULER_OPTION) $${THREADS:+"--threads=$$THREADS"}
BENCHES := $(CADUCEUS) benches "$$BLOCK" $${SIM:+"--sim=$$SIM"}
SEEDS_OPTION := $${SEEDS:+"--seeds=$$SEEDS"}
SWEPT_OPTIONS := $(CHIP_OPTION) $(DATA_OPTION) $(READ_MODE_OPTION) $${IMAGES:+"--images=$$IMAGES"}

# Test sets of the networks in NET; of DATA none.
TEST_SETS := [ -n "$$DATA" ] || case "$$NET" in \
		lstm_tiny | *.onnx) ;; \
		*,*lstm_ptb* | *lstm_ptb*,*) "$(PYTHON)" tools/setup.py --dataset --text ;; \
		*lstm_ptb*) "$(PYTHON)" tools/setup.py --text ;; \
		*) "$(PYTHON)" tools/setup.py --dataset ;; \
	esac

.DEFAULT_GOAL := help
.PHONY: help setup sim run import compile test regress verilog fpga netlist-test waves calibrate pcm-write lint format formal speed peers accuracy mvm-error sweep train clean distclean

help: ## List the targets and their options
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Options, as in make sim CHIP=tiny SIM=icarus; an empty one (NET=) is as one not given:"
	@echo "  CHIP=hermes|hermes_wide|tiny|ulx3s|FILE.yaml     NET=NAME|FILE.yaml|FILE.onnx"
	@echo "  DATA=FILE.npz|FILE.npy (import, sim, run, compile, accuracy, sweep)"
	@echo "  CALIBRATE=FILE.npz|FILE.npy|random (with an ONNX model)    WEIGHTS=FILE.safetensors (import)"
	@echo "  SIM=verilator|icarus    READ_MODE=1-phase|4-phase    IMAGES=NUMBER"
	@echo "  PCM=ideal|generic|hermes_odp|hermes_tdp|FILE.yaml    SEED=NUMBER"
	@echo "  AGE=SECONDS, or a number with a unit: 30min, 1h, 30d"
	@echo "  THREADS=NUMBER (sim, speed)    JOBS=NUMBER (sim)    SEQUENCES=NUMBER (sim)"
	@echo "  SCHEDULER=ADDRESS (sim, sweep)    REFERENCE=REVISION (speed)"
	@echo "  TARGET=golden|sim|serial:PORT (run)    DEVICES=1|2 (pcm-write)"
	@echo "  SEEDS=NUMBER|FIRST:END (accuracy, mvm-error, sweep)"
	@echo "  ARGS='MORE OPTIONS OF THE COMMAND'    PYTHON=INTERPRETER"
	@echo "Environment:"
	@echo "  CADUCEUS_THREADS=NUMBER  threads of simulations where THREADS= is not given"
	@echo "  CADUCEUS_BUILD=FOLDER    output folder of the commands (default: build)"
	@echo "  CADUCEUS_TRACEBACK=1     print the traceback of an error"
	@echo "Exit status of make: 0 success, 2 any failure. The commands end with 1 if a comparison"
	@echo "found a mismatch, with 2 on any other failure, with 130 if interrupted."

setup: ## Install what is missing (every other target does it too)
	@command -v "$(PYTHON)" >/dev/null || { echo "caduceus set-up: There is no $(PYTHON) here:" \
		"install Python 3.11 or newer, or name one, as in make PYTHON=python3.11 sim." >&2; exit 2; }
	@"$(PYTHON)" tools/setup.py

sim: setup ## Run ResNet-9 and an LSTM (or NET=) on the chip in RTL, compare with golden
	@$(CADUCEUS) sim $(RUN_OPTIONS) $(SHARED_OPTIONS) $(ARGS)

run: setup ## Run a network on the golden model, the RTL or a board (TARGET=)
	@$(CADUCEUS) run $${TARGET:+"--target=$$TARGET"} $(RUN_OPTIONS) $(ARGS)

# Runs of the command line are short there: -O1 compiles in half the time, and what the benches of
# the same chip have compiled so is not compiled again.
test: setup ## Run the tests, or BLOCK='s benches, with WAVES=1 for their waveforms
	@if [ -n "$$BLOCK" ]; then $(BENCHES) $${WAVES:+--waves} $(ARGS); else \
		CADUCEUS_CODE="$${CADUCEUS_CODE:--O1}" $(PYTEST) $(ARGS); fi

regress: setup ## Run all tests: the deeper ones take much longer and need PyTorch
	@"$(PYTHON)" tools/setup.py --train
	@$(PYTEST) -m "regress or not regress" $(ARGS)

import: setup ## Turn an ONNX model (NET=FILE.onnx) into a network, report what each layer loses
	@[ -n "$$NET" ] || { echo "make import: NET is missing: expected an ONNX file," \
		"as in make import NET=examples/resnet8.onnx" >&2; exit 2; }
	$(CADUCEUS) import "$$NET" $(CHIP_OPTION) $(DATA_OPTION) $${WEIGHTS:+"--weights=$$WEIGHTS"} $(ARGS)

compile: setup ## Map a network (NET=) to a chip, write its program, show the placement
	@$(CADUCEUS) compile $(CHIP_OPTION) $(NET_OPTION) $(DATA_OPTION) $(READ_MODE_OPTION) $(ARGS)

verilog: setup ## Write the chip and a stand-alone tile as Verilog for other tools, check both
	@$(CADUCEUS) verilog $(CHIP_OPTION) $(ARGS)

fpga: setup ## Build the reference board's bitstream, report its resources and clock
	@$(CADUCEUS) fpga $(CHIP_OPTION) $(ARGS)

netlist-test: setup ## Simulate the board's netlist, cell by cell, against golden
	@$(IN_VENV) PYTHONPATH=.:tests python -m netlists $(ARGS)

waves: setup ## Run one image on the small chip, or BLOCK='s bench, and write waveforms as FST
	@if [ -n "$$BLOCK" ]; then $(BENCHES) --waves $(ARGS); else \
		CHIP="$${CHIP:-tiny}" IMAGES="$${IMAGES:-1}" NET="$${NET:-resnet_tiny}"; \
		$(CADUCEUS) sim --waves $(RUN_OPTIONS) $(ARGS); fi

calibrate: setup ## Calibrate a tile's ADCs in RTL, show the MVM error before and after
	@$(CADUCEUS) calibrate $(CHIP_OPTION) $${SIM:+"--sim=$$SIM"} $${SEED:+"--seed=$$SEED"} $(ARGS)

pcm-write: setup ## Program a tile's array in RTL, pulse by pulse; DEVICES=1 (ODP) or 2 (TDP)
	@$(CADUCEUS) pcm-write $(CHIP_OPTION) $${SIM:+"--sim=$$SIM"} $${SEED:+"--seed=$$SEED"} \
		$${DEVICES:+"--devices=$$DEVICES"} $(ARGS)

lint: setup ## Check style and formatting
	@$(IN_VENV) ruff check . && $(IN_VENV) ruff format --check .

format: setup ## Format the code and sort its imports
	@$(IN_VENV) ruff check --fix . && $(IN_VENV) ruff format .

formal: setup ## Prove properties of FIFOs, credits, arbiter, packet switch; find seeded bugs
	@$(IN_VENV) python -m formal $(ARGS)

speed: setup ## Measure golden model, RTL beside the state before, peers after make peers
	@$(IN_VENV) python -m benchmarks $${REFERENCE:+"--reference=$$REFERENCE"} \
		$${THREADS:+"--threads=$$THREADS"} $(ARGS)

peers: setup ## Install aihwkit and PyTorch in .venv-peers for make speed (takes minutes)
	@"$(PYTHON)" tools/setup.py --peers

accuracy: setup ## Measure the published accuracies, or one kind of devices (PCM=, SEED=, AGE=)
	@[ -n "$$PCM$$SEED$$AGE" ] || NET="$${NET:-resnet9,lstm_ptb}"; $(TEST_SETS)
	@if [ -n "$$PCM$$SEED$$AGE" ]; then \
		$(CADUCEUS) accuracy $(SWEPT_OPTIONS) $(NET_OPTION) $(DEVICE_OPTIONS) $(ARGS); \
	else \
		$(CADUCEUS) accuracy --table $(SWEPT_OPTIONS) $(NET_OPTION) $(SEEDS_OPTION) $(ARGS); \
	fi

mvm-error: setup ## Measure the MVM error of one tile on every kind of devices
	@$(CADUCEUS) accuracy --mvm-error $(CHIP_OPTION) $(SEEDS_OPTION) $(READ_MODE_OPTION) $(ARGS)

sweep: setup ## Measure networks on many devices; NET=, PCM=, AGE= take lists as in 1h,30d
	@$(TEST_SETS)
	@$(CADUCEUS) sweep $(SWEPT_OPTIONS) $(NET_OPTION) $${PCM:+"--pcm=$$PCM"} $(SEEDS_OPTION) \
		$${AGE:+"--ages=$$AGE"} $(SCHEDULER_OPTION) $(ARGS)

train: setup ## Train the networks again (installs PyTorch and data sets first)
	@"$(PYTHON)" tools/setup.py --train
	@$(IN_VENV) python -m train $(ARGS)

clean: ## Remove all outputs; the set-up stays
	rm -rf build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*/*' -prune -exec rm -rf {} +

distclean: clean ## Remove .venv and .venv-peers as well; the user's cache stays
	rm -rf .venv .venv-peers caduceus.egg-info
