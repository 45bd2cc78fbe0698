//! The rules about those who ask.

use std::fmt;

use axum::http::{HeaderName, HeaderValue, Response, header};

use super::limit::Rate;
use super::passwords::{Token, Users};
use super::tls::Tls;

/// Rules of the endpoint about those who ask. Without any it is plain text and open.
#[derive(Default)]
pub struct Web {
    pub(crate) tls: Option<Tls>,
    pub(crate) users: Users,
    /// Bearer tokens, each as good as a user.
    pub(crate) tokens: Vec<Token>,
    /// The token of POST /-/reload, which then counts there alone.
    pub(crate) reload_token: Option<Token>,
    /// Liveness and readiness are told without credentials.
    pub(crate) open_health: bool,
    pub(crate) rate: Option<Rate>,
    /// Header fields of every response; they win over the endpoint's own.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Web {
    /// Returns true if requests need a password or a token.
    pub(crate) fn asks_for_credentials(&self) -> bool {
        !self.users.is_empty() || !self.tokens.is_empty()
    }

    /// Sets the header fields of a response.
    pub(in crate::http) fn dress<B>(&self, response: &mut Response<B>) {
        let fields = response.headers_mut();
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        for (name, value) in &self.headers {
            fields.insert(name, value.clone());
        }
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").finish_non_exhaustive()
    }
}
