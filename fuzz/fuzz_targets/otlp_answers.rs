//! Fuzzes the answers of OTLP receivers.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nbu_otel_agent::fuzz::run("otlp_answers", input));
