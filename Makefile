# `make demo` and `make test` set up what they need, system packages included. `make help` lists the rest.

SHELL := /bin/bash
SWIFT ?= swift
FATEZERO := .build/release/fatezero
DEMO := demo-output
TRAINING ?= .training

.DEFAULT_GOAL := help
.PHONY: help setup build test demo train quality format lint clean

help: ## Show this list.
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Install the system packages that are missing; check the Swift toolchain.
	@Scripts/setup.sh

build: ## Make the release build: .build/release/fatezero.
	$(SWIFT) build -c release

# In release mode, since unoptimised loops take minutes, and in a folder of its own, since testable code is built apart.
# A suite's threads and those of the next test wait for each other passively: two teams that spin share no core well.
test: setup ## Build, then run all tests.
	OMP_WAIT_POLICY=passive $(SWIFT) test -c release -Xswiftc -enable-testing --scratch-path .build-tests

demo: setup build ## Edit Examples/cat.mp4 with the model that is shipped.
	mkdir -p $(DEMO)
	$(FATEZERO) edit -y Examples/cat.mp4 $(DEMO)/tiger.mp4 --edit "a [cat -> tiger] on the grass"
	Scripts/contact-sheet.sh Examples/cat.mp4 $(DEMO)/tiger.mp4 $(DEMO)/before-after.png
	@echo
	@echo "The edited clip: $(CURDIR)/$(DEMO)/tiger.mp4"
	@echo "Before (above) and after (below): $(CURDIR)/$(DEMO)/before-after.png"

train: ## Train Toy World from nothing into .training/toyworld: hours, or minutes on a GPU (Training/README.md).
	Training/train.sh $(TRAINING) $(TRAINING)/toyworld

quality: setup build ## Measure the quality of edits and remake the table of docs/QUALITY.md.
	Benchmarks/quality/run.sh $(TRAINING)

format: ## Format the Swift sources in place.
	$(SWIFT) format --in-place --parallel --recursive Package.swift Sources Tests

lint: ## Report what `make format` would change, and doubtful style.
	$(SWIFT) format lint --strict --parallel --recursive Package.swift Sources Tests

clean: ## Remove what was built and the demo's output.
	rm -rf .build .build-tests $(DEMO)
