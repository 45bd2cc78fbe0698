//! The content of a request, and the response to it.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;

/// The content of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Metrics.
    Metrics,
    /// Spans.
    Traces,
}

impl Signal {
    /// Returns the value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }
}

/// The response to an accepted request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Points or spans that the receiver rejected.
    pub rejected: i64,
    /// The reason, or a warning.
    pub message: String,
}

/// Reads the response; it has the same form for metrics and for spans.
pub(super) fn accepted(response: &ExportMetricsServiceResponse) -> Accepted {
    response.partial_success.as_ref().map_or_else(Accepted::default, |partial| Accepted {
        rejected: partial.rejected_data_points.max(0),
        message: partial.error_message.clone(),
    })
}
