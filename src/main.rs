//! The binary; [`nbu_otel_agent::cli`] is the command line.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

// glibc keeps several times the memory (docs/adr/0019).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    nbu_otel_agent::cli::main()
}
