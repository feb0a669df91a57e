# The everyday commands. CMake and Ninja do the work (presets in CMakePresets.json); the scripts are in tools/.
PREFIX ?= /usr/local

help:
	@echo "make demo      install what is missing, build, measure a small real model, print the table"
	@echo "make demo-engines  the same work on three engines: llama.cpp, PyTorch, vLLM (fetches 400 MB of packages first)"
	@echo "make test      set-up, build and every test (LLEM_TEST_STRICT=1: unexpected skips fail)"
	@echo "make build     set-up and build only: build/release/bin/llem"
	@echo "make sim       build, and the simulated sensors with it (docs/simulators.md)"
	@echo "make bench     what measuring costs: sampler, start-up, orchestration, perturbation"
	@echo "make accuracy  errors of the estimators against simulated sensors with known truth"
	@echo "make campaign  long random testing (LLEM_CAMPAIGN_N rounds)"
	@echo "make install   into PREFIX ($(PREFIX)), below DESTDIR if given"
	@echo "make setup     set-up only"
	@echo "make clean     remove the build folder"

setup:
	tools/setup.sh test

build:
	tools/setup.sh build
	tools/build.sh release --target programs

demo: build
	tools/demo.sh

demo-engines: build
	tools/demo-engines.sh

sim: build
	tools/build.sh release --target simulators

test:
	tools/test.sh

bench accuracy campaign:
	tools/setup.sh test
	tools/build.sh release
	tools/$@.sh

install: build
	DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)"

clean:
	rm -rf build

.PHONY: help setup build sim demo demo-engines test bench accuracy campaign install clean
