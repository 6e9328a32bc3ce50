# What there is to do with a checkout. `make` builds; `make test` is what has to pass.

PREFIX ?= /usr/local
DESTDIR ?=
TARGET = $(or $(CARGO_TARGET_DIR),target)
BINARY = $(TARGET)/release/portolan
SHARE = $(DESTDIR)$(PREFIX)/share

.PHONY: build test check bench oracle fuzz man completions install deb clean

build:
	cargo build --release --locked

# Installs what the tests need when it may, then runs them all and says what was skipped.
test:
	@scripts/test

# The quick part of it: no tests, no root.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

# Ratios against ss, lsof, nmap and masscan in the same run. Needs root for its namespaces.
bench: build
	cargo run --release --locked --package portolan-benches -- compare $(abspath $(BINARY))

# The kernel against the simulator and the exact analysis: real packets through random rules. Needs root.
oracle:
	cargo run --release --locked --package portolan-oracle -- --rulesets $(or $(RULESETS),10000) --probes $(or $(PROBES),1000) --seed $(or $(SEED),7)

# Every fuzz target for SECONDS (120); needs a nightly toolchain and cargo-fuzz.
fuzz:
	@fuzz/run $(or $(SECONDS),120)

man: build
	install -d $(TARGET)/man
	$(BINARY) man --out $(TARGET)/man

completions: build
	install -d $(TARGET)/completions
	$(BINARY) completions bash > $(TARGET)/completions/portolan
	$(BINARY) completions zsh > $(TARGET)/completions/_portolan
	$(BINARY) completions fish > $(TARGET)/completions/portolan.fish

install: man completions
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/portolan
	install -D -m 644 -t $(SHARE)/man/man1 $(TARGET)/man/*.1
	install -D -m 644 -t $(SHARE)/bash-completion/completions $(TARGET)/completions/portolan
	install -D -m 644 -t $(SHARE)/zsh/vendor-completions $(TARGET)/completions/_portolan
	install -D -m 644 -t $(SHARE)/fish/vendor_completions.d $(TARGET)/completions/portolan.fish

deb:
	@scripts/deb

clean:
	cargo clean
