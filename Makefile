# Each target does its own set-up (tools/setup.sh): system packages by apt where needed and permitted, .venv from the lock.
SHELL := /bin/bash
BIN := .venv/bin
DRIFT := tests/gateway/cores/test_belt_session.py::test_a_belts_clock_that_drifts_a_hundred_millionths_makes_no_state_older_than_it_is
# A choice by ARGS may leave one of several runs without a test (pytest's code 5).
OR_NONE = $(if $(ARGS),|| [ $$? = 5 ])

.PHONY: help setup demo test lint deb sbom appliance wheel mpy bench soak score mutation oracle hil hil-foreign lock vectors clean

help:
	@echo "make demo   three emulated belts, gateway, broker, receiver and pages on this machine (Ctrl-C ends it)"
	@echo "make test   all tests          make lint   ruff, mypy --strict, import contracts"
	@echo "make bench  figures into build/bench.json          make soak   long seeded runs"
	@echo "make score  the belt's signal code against recordings (SLEEPBELT_DATA) and the simulator"
	@echo "make mutation  change the leave-bed core in every small way; each change must fail a test"
	@echo "make hil    radio tests against the real kernel and bluetoothd in a virtual machine, and on the virtual air"
	@echo "make hil-foreign  programs of others read a belt's standard services through that machine"
	@echo "make mpy    compile the firmware for every board   make wheel  build the wheel, try it in a clean environment"
	@echo "make deb    the appliance's packages for amd64 and arm64 into dist/"
	@echo "make sbom   what they are made of (CycloneDX)   make appliance  the package in a virtual machine with systemd"
	@echo "make lock   renew the lock files after a change of dependencies"

setup:
	@tools/setup.sh demo

demo: setup
	$(BIN)/sleepbelt demo $(ARGS)

test:
	@tools/setup.sh test
	$(BIN)/python -m pytest $(ARGS)

lint:
	@tools/setup.sh test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file tools/mypy-rp2.ini
	$(BIN)/mypy --config-file tools/mypy-esp32.ini
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tools.claims

mpy: setup
	$(BIN)/python -m tools.mpy

sbom: setup
	$(BIN)/python -m tools.sbom $(ARGS)

appliance:
	@tools/setup.sh appliance
	$(BIN)/python -m tools.appliance $(ARGS)

deb:
	@tools/setup.sh deb
	$(BIN)/python -m tools.deb.build $(ARGS)
	lintian --tag-display-limit 0 --fail-on error,warning dist/sleepbelt_*.deb

wheel: setup
	tools/wheel_check.sh

bench:
	@tools/setup.sh test
	@tools/setup.sh hil
	$(BIN)/python -m tools.bench --out build/bench.json $(ARGS)

soak:
	@tools/setup.sh test
	SLEEPBELT_HIL_TABLE=1 $(BIN)/python -m tools.soak $(ARGS)

score: setup
	$(BIN)/python -m tools.score $(ARGS)

oracle: requirements/oracle.lock
	python3 -m venv build/oracle
	build/oracle/bin/pip install -q --require-hashes -r requirements/oracle.lock
	build/oracle/bin/python -m tools.check_night_arithmetic --nights 5000

mutation:
	@tools/setup.sh test
	$(BIN)/python -m tools.mutation $(ARGS)

hil:
	@tools/setup.sh hil
	SLEEPBELT_HIL_TABLE=1 $(BIN)/python -m pytest -p no:hypothesispytest tests/hil_box tests/radio --radio box --timeout 900 $(ARGS) $(OR_NONE)
	SLEEPBELT_HIL_TABLE=1 $(BIN)/python -m pytest -p no:hypothesispytest tests/radio $(DRIFT) --timeout 900 $(ARGS) $(OR_NONE)

hil-foreign:
	@tools/setup.sh foreign
	$(BIN)/python -m pytest tests/hil_foreign --timeout 900 $(ARGS)

vectors: setup
	$(BIN)/python -m tools.make_vectors
	$(BIN)/python -m tools.make_wire_doc

lock:
	$(BIN)/python -m pip install -q pip-tools==7.6.2
	$(BIN)/pip-compile -q --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --generate-hashes \
	  --allow-unsafe --strip-extras --extra hil --extra dev -o requirements/dev.lock pyproject.toml
	$(BIN)/pip-compile -q --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --generate-hashes \
	  --strip-extras -o requirements/runtime.lock pyproject.toml
	$(BIN)/pip-compile -q --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --generate-hashes \
	  --strip-extras -o tools/foreign/requirements.lock tools/foreign/requirements.in
	$(BIN)/pip-compile -q --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --generate-hashes \
	  --strip-extras --extra pi -c requirements/runtime.lock -o requirements/appliance.lock pyproject.toml
	$(BIN)/pip-compile -q --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --generate-hashes \
	  --strip-extras -o requirements/oracle.lock requirements/oracle.in

clean:
	rm -rf build dist typings .venv
