//! The content of a request, and the response to it.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message as _;
use prost::bytes::Buf;

use crate::telemetry::otlp::error::SendError;

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

pub(crate) type SendResult = Result<Accepted, SendError>;

/// The response to an accepted request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Points or spans that the receiver rejected.
    pub rejected: u64,
    /// The reason, or a warning.
    pub message: String,
}

impl Accepted {
    /// Reads a response, of the same form for both signals. One that can't be read is taken for success.
    pub(super) fn decode(response: impl Buf) -> Self {
        let response = ExportMetricsServiceResponse::decode(response).unwrap_or_default();
        let partial = response.partial_success.unwrap_or_default();
        let rejected = u64::try_from(partial.rejected_data_points).unwrap_or(0);
        Self { rejected, message: partial.error_message }
    }
}
