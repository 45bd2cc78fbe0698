//! snapshot (to come).
