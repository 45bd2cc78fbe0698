//! Fuzzes web configuration files.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nbu_otel_agent::fuzz::run("web_file", input));
