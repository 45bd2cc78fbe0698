# The verbs of CI. `just ci` is what CI runs.

default:
    @just --list

# Format everything.
fmt:
    cargo fmt --all

# Formatting, lints and docs, warnings denied.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# All tests that need nothing but this checkout.
test:
    cargo test --workspace

# Licences, bans, sources and, where their database is, advisories of the dependencies.
deny:
    cargo deny --all-features check bans licenses sources
    .ci/advisories

# Fuzz every target, or one: `just fuzz 60 page`. Without nightly and cargo-fuzz by the tests' own mutations.
fuzz seconds="5" *target:
    .ci/fuzz {{seconds}} {{target}}

# The measurements behind the budgets.
bench:
    cargo bench

# A release at 50 times its usual pace among troubles, for a time such as 10m or 1h; report in target/soak.
soak time="10m":
    .ci/soak {{time}}

# The last measurements beside their floors and budgets; `just bench-table renderer` for some of them.
bench-table *works:
    benches/table.sh {{works}}

# The reference of all metrics.
docs:
    cargo run --quiet -- docs metrics > docs/metrics.md
    cargo run --quiet -- docs config > docs/configuration.md
    cargo run --quiet -- docs example > config.example.yaml
    cargo run --quiet -- docs schema > config.schema.json

# Dashboards and rules.
dashboards:
    cargo run --quiet -p dashboards

# Two simulated servers and the agent.
demo:
    cargo run --release -- demo

# Everything that CI does.
ci:
    bash .ci/run
