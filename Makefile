# Two commands do it all: `make run` and `make test`.

# What the tests need beside Rust: real games, and programs that tests and benches drive.
GAMES = openttd openttd-opengfx freeciv-server minetest-server teeworlds-server redeclipse-server
TOOLS = faketime gcc g++ iproute2 libc6-dev procps python3 python3-aiosmtpd util-linux
PEERS = nginx-light runit s6

# Debian keeps games out of the path of root.
export PATH := $(PATH):/usr/games:/usr/sbin
export CARGO_TERM_COLOR ?= never

.PHONY: run build test deps fmt clippy tests docs bench clean

run: build
	exec target/release/longhouse serve $(ARGS)

build:
	cargo build --release --locked

test: deps fmt clippy tests docs

# As root: installs what is missing. Otherwise: names what is missing, and the tests that need it say so.
deps:
	@missing=$$(for p in $(GAMES) $(TOOLS); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing; \
	else \
		echo "missing Debian packages (tests that need them are skipped, loudly):" $$missing; \
		echo "hint: sudo apt-get install --no-install-recommends" $$missing; \
	fi

fmt:
	cargo fmt --all --check

# The fuzz targets too; to run one: cargo +nightly fuzz run keeper_wire
clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings

tests:
	cargo test --locked

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

# Compares with runit, s6 and nginx in the same run, where they are installed ($(PEERS)).
bench:
	cargo bench --locked --bench supervision
	cargo bench --locked --bench fanout
	cargo bench --locked --bench lobby
	cargo bench --locked --bench files
	cargo bench --locked --bench snapshots

clean:
	cargo clean
