//! supervisor (to come).
