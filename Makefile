# The commands of this repository. Each target calls the script that does the work; `make help` lists them.
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
SETUP := scripts/setup-debian.sh

.PHONY: build setup test testnet demo bench bench-p2p fuzz asan tsan interop docs format lint coverage clean help
.DEFAULT_GOAL := build

build:     ## build/nunet, the program
	@$(SETUP) build
	@cmake --preset release >/dev/null
	@cmake --build build --target nunet

setup:     ## install everything any target may need (Debian 12, root)
	@$(SETUP) all

test:      ## every suite; ends in 'N passed, N failed, N skipped'
	@$(SETUP) build test docker
	@cmake --preset release >/dev/null
	@cmake --build build
	@scripts/run_tests.py --build build $(TEST_ARGS)

testnet:   ## what testnet/testnet needs: networks of hosts on demand
	@$(SETUP) build test
	@cmake --preset release >/dev/null
	@cmake --build build --target nunet testnet_link

demo:      ## five machines in three regions, a data task, a service that moves; in under two minutes
	@$(SETUP) build run
	@cmake --preset release >/dev/null
	@cmake --build build --target nunet testnet_link
	@scripts/demo.py

bench:     ## figures and ratios, also as JSON in build/bench
	@$(SETUP) build run bench
	@cmake --preset release >/dev/null
	@cmake --build build --target nunet testnet_link
	@cmake --preset bench >/dev/null
	@cmake --build build/bench-build
	@scripts/run_bench.py --build build/bench-build

bench-p2p: ## libp2p beside go-libp2p and rust-libp2p where they can be built; build/bench/p2p.json
	@$(SETUP) build
	@cmake --preset release >/dev/null
	@cmake --build build --target interop_peer
	@tests/interop/bench.py --build build $(BENCH_ARGS)

asan tsan: ## the unit suites under the address and undefined behaviour, or the thread sanitizer
	@$(SETUP) build test fuzz
	@cmake --preset $@ >/dev/null
	@cmake --build build/$@ $(if $(TARGETS),--target $(TARGETS))
	@scripts/run_tests.py --build build/$@ --only unit --timeout 300 $(TEST_ARGS)

fuzz:      ## each fuzz target for FUZZ_SECONDS (5) from its corpus
	@$(SETUP) build test fuzz
	@cmake --preset asan >/dev/null
	@cmake --build build/asan --target fuzzers
	@scripts/run_fuzz.py --build build/asan --seconds $(or $(FUZZ_SECONDS),5)

interop:   ## connect to other implementations of libp2p; the table goes to docs/interop.md
	@$(SETUP) build interop
	@cmake --preset release >/dev/null
	@cmake --build build --target interop_peer unified_peer \
	  $(if $(NUNET_GO_REFERENCE),nunet crypto_test did_test ucan_test actor_test)
	@scripts/run_tests.py --build build --only interop

docs:      ## the documentation portal in build/docs/site
	@$(SETUP) docs
	@scripts/make_docs.py

format:    ## format every source file
	@$(SETUP) lint
	@scripts/format.sh

lint:      ## format, layers, headers, clang-tidy, shellcheck
	@$(SETUP) build lint fuzz
	@scripts/format.sh --check
	@scripts/check_layers.py
	@scripts/check_coroutines.py
	@cmake --preset lint >/dev/null
	@scripts/check_headers.py --build build/lint
	@shellcheck $$(git ls-files '*.sh' .ci/run)
	@scripts/lint.py --build build/lint $(LINT_ARGS)

coverage:  ## which lines the unit suites run, in build/coverage/html/index.html
	@$(SETUP) build test coverage
	@cmake --preset coverage >/dev/null
	@cmake --build build/coverage
	@find build/coverage -name '*.gcda' -delete
	@scripts/run_tests.py --build build/coverage --only unit
	@lcov --quiet --capture --directory build/coverage --base-directory $(CURDIR)/build/coverage --include '$(CURDIR)/src/*' \
	  --exclude '*_test.cpp' --exclude '*_fuzz.cpp' --exclude '*/testing.hpp' --output-file build/coverage/lines.info \
	  2>build/coverage/lcov.log || { cat build/coverage/lcov.log; exit 1; }
	@genhtml --quiet --prefix $(CURDIR)/src --output-directory build/coverage/html build/coverage/lines.info
	@lcov --summary build/coverage/lines.info

clean:     ## remove everything built
	@rm -rf build

help:      ## this list
	@sed -n 's/^\([a-z0-9 -]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'
