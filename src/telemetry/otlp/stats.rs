//! placeholder
#[derive(Debug, Default)]
pub struct OtlpStats;
