//! The content of a request, and the response to it.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message as _;
use prost::bytes::Buf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    Metrics,
    Traces,
}

impl Signal {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }

    /// Returns the items of a request, for people.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Metrics => "points",
            Self::Traces => "spans",
        }
    }
}

/// The response to an accepted request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Points or spans that the receiver rejected.
    pub rejected: u64,
    /// The reason, or a warning.
    pub message: String,
}

impl Accepted {
    /// Reads a response; it has the same form for metrics and for spans. That it can't be read is no reason to
    /// send the request again.
    pub(super) fn decode(response: impl Buf) -> Self {
        let response = ExportMetricsServiceResponse::decode(response).unwrap_or_default();
        let partial = response.partial_success.unwrap_or_default();
        let rejected = u64::try_from(partial.rejected_data_points).unwrap_or(0);
        Self { rejected, message: partial.error_message }
    }
}
