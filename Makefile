# `make demo` and `make test` set up what they need, system packages included. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
SWIFT ?= swift
BUILT := .build/release
FATEZERO := $(BUILT)/fatezero
DEMO := demo-output
TRAINING ?= .training

# Where `make install` puts what. DESTDIR goes before all of it, for packagers.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
BASHDIR ?= $(DATADIR)/bash-completion/completions
ZSHDIR ?= $(DATADIR)/zsh/site-functions
FISHDIR ?= $(DATADIR)/fish/vendor_completions.d
# ffmpeg looks in no folder of an architecture.
FREI0RDIR ?= $(PREFIX)/lib/frei0r-1
# GStreamer looks in /usr/share of itself.
PRESETDIR ?= $(DATADIR)/gstreamer-1.0/presets
GSTDIR ?= $(if $(filter /usr,$(PREFIX)),$(shell pkg-config --variable=pluginsdir gstreamer-1.0),$(LIBDIR)/gstreamer-1.0)

# The one place is fatezero.h.
VERSION := $(shell awk '/define FATEZERO_VERSION_/ { version = version dot $$3; dot = "." } END { print version }' \
  CShims/CFateZero/include/fatezero.h)

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests build test build-tests sanitized address-sanitized thread-sanitized fuzzers fuzz corpora misuse soak kill-test demo train quality bench bench-peers install uninstall deb test-deb version manual format lint clean

help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## Install the system packages that building and the demo need; check the Swift toolchain.
	@Scripts/setup.sh

setup-tests: ## The same, with what the tests need: GStreamer's plug-ins, Chromium, Slurm, a virtual display.
	@Scripts/setup.sh tests

# What is installed holds the Swift runtime, exports nothing but its interface and knows no path of this machine. Only the
# linker's options differ from product to product, so all is compiled once.
BUILD := $(SWIFT) build -c release -Xswiftc -static-stdlib -Xswiftc -use-ld=lld --disable-local-rpath \
  -Xcc -fmacro-prefix-map=$(CURDIR)/=
EXPORTS = -Xlinker --version-script=$(CURDIR)/pkgconfig/$(1).map
SONAME := libfatezero.so.$(firstword $(subst ., ,$(VERSION)))

build: ## Make the release build: .build/release/fatezero, libraries and plug-ins beside it.
	$(BUILD) --product fatezero
	$(BUILD) --product FateZero -Xlinker -soname=$(SONAME) $(call EXPORTS,fatezero)
	$(BUILD) --product gstfatezero $(call EXPORTS,gstreamer)
	$(BUILD) --product frei0r-fatezero $(call EXPORTS,frei0r)
	@mkdir -p $(BUILT)/gstreamer-1.0 $(BUILT)/frei0r-1
	@ln -sf libFateZero.so $(BUILT)/$(SONAME)
	@ln -sf ../libgstfatezero.so $(BUILT)/gstreamer-1.0/
	@ln -sf ../libfrei0r-fatezero.so $(BUILT)/frei0r-1/fatezero.so

# In release mode, since unoptimised loops take minutes, and in folders of their own, since testable and instrumented code is
# built apart; two builds beside each other keep both cores busy where one waits for a module. No test may fail by chance, nor
# because the machine is busy. A suite's threads and those of the next test wait for each other passively: two teams that spin
# share no core well.
TEST_OPTIONS := -c release -Xswiftc -enable-testing --scratch-path .build-tests
test: setup-tests lint ## Lint and build, fuzz everything for ten seconds, then run all tests.
	$(MAKE) --no-print-directory --jobs=2 build build-tests sanitized fuzzers
	TIMEOUT=60 SEED=1 RUNS=2000 Fuzz/fuzz.sh 10
	OMP_WAIT_POLICY=passive $(SWIFT) test --skip-build $(TEST_OPTIONS)

build-tests:
	$(SWIFT) build --build-tests $(TEST_OPTIONS)

# Swift and C instrumented alike.
sanitized: address-sanitized thread-sanitized ## Build the C library with address and thread sanitizer, the element with the former, for the tests.

address-sanitized:
	$(SWIFT) build -c release --sanitize address --product FateZero --scratch-path .build-address
	$(SWIFT) build -c release --sanitize address --product gstfatezero --scratch-path .build-address

thread-sanitized:
	$(SWIFT) build -c release --sanitize thread --product FateZero --scratch-path .build-thread

# Coverage is measured of Swift only: the loops of CKernels choose their variant while they are loaded, before anything could
# count. SwiftPM links no executable's module into another program; as an archive the command's can be given to all links.
FUZZED := FATEZERO_FUZZ=1 $(SWIFT) build -c release -Xswiftc -enable-testing -Xswiftc -sanitize=fuzzer -Xswiftc -use-ld=lld \
  --disable-local-rpath --scratch-path .build-fuzz
COMMAND_ARCHIVE := $(CURDIR)/.build-fuzz/libFateZeroCommand.a
CHECKED := clang -g -O1 -std=gnu11 -Wall -Wextra -Werror -ICShims/CFateZero/include

fuzzers: address-sanitized
	$(FUZZED) --target FateZeroCommand
	rm -f $(COMMAND_ARCHIVE) .build-fuzz/release/Fuzzer
	ar rcs $(COMMAND_ARCHIVE) .build-fuzz/release/FateZeroCommand.build/*.o
	$(FUZZED) --product Fuzzer -Xlinker $(COMMAND_ARCHIVE)
	$(CHECKED) -fsanitize=fuzzer,address -fuse-ld=lld -ICShims/CFrei0rFateZero -ICShims/CFrei0rFateZero/include \
	  Fuzz/frei0r.c CShims/CFrei0rFateZero/*.c -L.build-address/release -lFateZero -Wl,-rpath,$(CURDIR)/.build-address/release \
	  -o .build-fuzz/frei0r

SECONDS ?= 60
fuzz: setup fuzzers ## Fuzz everything that reads strangers' files, SECONDS (60) for each of the 18 targets.
	Fuzz/fuzz.sh $(SECONDS)

corpora: setup fuzzers ## Make the corpora anew (Tests/Fixtures/fuzz) from the seeds and what `make fuzz` found.
	Fuzz/corpus.sh

# What a sanitizer finds ends the program with 99. The compiler that made the library knows which run-time libraries it needs.
misuse: sanitized ## Call the C library as it must not be, under address and thread sanitizer.
	for sanitizer in address thread; do \
	  folder=$(CURDIR)/.build-$$sanitizer; \
	  $(CHECKED) -fsanitize=$$sanitizer -c Fuzz/misuse.c -o $$folder/misuse.o && \
	  swiftc -sanitize=$$sanitizer -use-ld=lld $$folder/misuse.o -L $$folder/release -lFateZero -Xlinker -rpath \
	    -Xlinker $$folder/release -o $$folder/misuse && \
	  ASAN_OPTIONS=exitcode=99:detect_leaks=1:allocator_may_return_null=1 TSAN_OPTIONS=exitcode=99 \
	    $$folder/misuse Tests/Fixtures/oracle/models/tinyA 1 $(ROUNDS) || exit; \
	done
ROUNDS ?= 100

EDITS ?= 2000
soak: setup build ## Make EDITS (2000) edits in one process, which must not grow: half an hour.
	$(CHECKED) Fuzz/soak.c -L$(BUILT) -Wl,-rpath,$(CURDIR)/$(BUILT) -lFateZero -o $(BUILT)/soak
	OMP_WAIT_POLICY=passive $(BUILT)/soak Models/toyworld $(EDITS)

KILLS ?= 1000
kill-test: setup build ## Kill KILLS (1000) edits at random moments and resume them: nothing may be lost. An hour.
	Fuzz/kill-test.py $(FATEZERO) $(KILLS)

demo: setup build ## Edit Examples/cat.mp4 in three ways with the model that is shipped.
	Scripts/demo.sh $(FATEZERO) $(DEMO)

train: ## Train Toy World from nothing into .training/toyworld: hours, or minutes on a GPU (Training/README.md).
	Training/train.sh $(TRAINING) $(TRAINING)/toyworld

quality: setup build ## Measure the quality of edits and remake the table of docs/QUALITY.md.
	Benchmarks/quality/run.sh $(TRAINING)

bench: setup ## Time passes and whole edits at Stable Diffusion 1.5's size, and their memory (docs/PERFORMANCE.md): half an hour.
	$(BUILD) --product Passes
	$(BUILD) --product fatezero
	python=$$(Scripts/python-environment.sh $(TRAINING)/venv-benchmarks Benchmarks/requirements.txt) && \
	  export OMP_WAIT_POLICY=passive && $$python Benchmarks/speed.py $(BUILT)/Passes $(TRAINING)/benchmarks --rounds 1 && \
	  $$python Benchmarks/edits.py $(FATEZERO) $(TRAINING)/benchmarks

bench-peers: setup ## The passes beside diffusers on PyTorch and OpenVINO, in f32 and bf16: half an hour.
	$(BUILD) --product Passes
	python=$$(Scripts/python-environment.sh $(TRAINING)/venv-peers Benchmarks/requirements-peers.txt) && \
	  OMP_WAIT_POLICY=passive $$python Benchmarks/speed.py $(BUILT)/Passes $(TRAINING)/benchmarks --peers

# What is installed beside the model, for `make uninstall`.
LIBRARIES := libfatezero.so $(SONAME) libfatezero.so.$(VERSION)
INSTALLED = $(BINDIR)/fatezero $(LIBRARIES:%=$(LIBDIR)/%) $(LIBDIR)/pkgconfig/fatezero.pc $(INCLUDEDIR)/fatezero.h \
  $(GSTDIR)/libgstfatezero.so $(PRESETDIR)/GstFateZero.prs $(FREI0RDIR)/fatezero.so $(DATADIR)/man/man1/fatezero.1 \
  $(BASHDIR)/fatezero $(ZSHDIR)/_fatezero $(FISHDIR)/fatezero.fish
INSTALL_DATA := install -D -m 644
INSTALL_LIBRARY := install -D -m 644 -s

install: ## Install what `make build` made, under PREFIX (/usr/local).
	@test -x $(FATEZERO) -a -e $(BUILT)/$(SONAME) -a -e $(BUILT)/frei0r-1/fatezero.so || \
	  { echo "make install: nothing is built yet; run \`make build\` first, as an ordinary user" >&2; exit 1; }
	install -D -s $(FATEZERO) $(DESTDIR)$(BINDIR)/fatezero
	$(INSTALL_LIBRARY) $(BUILT)/libFateZero.so $(DESTDIR)$(LIBDIR)/libfatezero.so.$(VERSION)
	ln -sf libfatezero.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libfatezero.so
	$(INSTALL_LIBRARY) $(BUILT)/libgstfatezero.so $(DESTDIR)$(GSTDIR)/libgstfatezero.so
	$(INSTALL_DATA) packaging/presets/GstFateZero.prs $(DESTDIR)$(PRESETDIR)/GstFateZero.prs
	$(INSTALL_LIBRARY) $(BUILT)/libfrei0r-fatezero.so $(DESTDIR)$(FREI0RDIR)/fatezero.so
	$(INSTALL_DATA) CShims/CFateZero/include/fatezero.h $(DESTDIR)$(INCLUDEDIR)/fatezero.h
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	  -e 's|@VERSION@|$(VERSION)|' pkgconfig/fatezero.pc.in | \
	  $(INSTALL_DATA) /dev/stdin $(DESTDIR)$(LIBDIR)/pkgconfig/fatezero.pc
	cd Models && find clip toyworld -type f -exec $(INSTALL_DATA) {} $(DESTDIR)$(DATADIR)/fatezero/models/{} \;
	$(INSTALL_DATA) docs/fatezero.1 $(DESTDIR)$(DATADIR)/man/man1/fatezero.1
	$(FATEZERO) --generate-completion-script bash | $(INSTALL_DATA) /dev/stdin $(DESTDIR)$(BASHDIR)/fatezero
	$(FATEZERO) --generate-completion-script zsh | $(INSTALL_DATA) /dev/stdin $(DESTDIR)$(ZSHDIR)/_fatezero
	$(FATEZERO) --generate-completion-script fish | $(INSTALL_DATA) /dev/stdin $(DESTDIR)$(FISHDIR)/fatezero.fish
	@Scripts/after-install.sh "$(BINDIR)" "$(LIBDIR)" "$(GSTDIR)" "$(PRESETDIR)" "$(FREI0RDIR)"

uninstall: ## Remove what `make install` with the same settings put there.
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	rm -rf $(DESTDIR)$(DATADIR)/fatezero

deb: build ## Make a Debian package: .build/fatezero_VERSION_ARCHITECTURE.deb.
	@Scripts/make-deb.sh

test-deb: deb ## Install the package in a new, bare Debian and edit a clip there in every way (minutes; as root).
	Scripts/test-deb.sh .build/fatezero_$(VERSION)_$$(dpkg --print-architecture).deb

version:
	@echo $(VERSION)

manual: ## Make the manual page anew: docs/fatezero.1.
	$(SWIFT) package --scratch-path .build-manual generate-manual
	cp .build-manual/plugins/GenerateManual/outputs/FateZeroCommand/fatezero.1 docs/fatezero.1

C_SOURCES = $(shell git ls-files '*.c' 'CShims/*.h')
# Other releases of it break lines elsewhere.
CLANG_FORMAT ?= clang-format-14

format: ## Format the Swift and C sources in place.
	$(SWIFT) format --in-place --parallel --recursive Package.swift Sources Tests Fuzz
	$(CLANG_FORMAT) -i $(C_SOURCES)

lint: ## Report what `make format` would change, and doubtful style.
	$(SWIFT) format lint --strict --parallel --recursive Package.swift Sources Tests Fuzz
	@$(CLANG_FORMAT) --dry-run -Werror $(C_SOURCES)
	Scripts/lint-delimiters.sh

clean: ## Remove what was built and the demo's output.
	rm -rf .build .build-tests .build-address .build-thread .build-fuzz .build-manual $(DEMO)
