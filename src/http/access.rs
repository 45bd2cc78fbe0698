//! The way of a request to its route, and of the response back.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;

use super::state::State;
use super::web::{Client, Refusal, Session};

/// The routes of a listener, and who guards them.
#[derive(Clone)]
pub(super) struct Access {
    routes: TowerToHyperService<Router>,
    /// Holds the rules in force; none where the routes are for everyone.
    state: Option<Arc<State>>,
}

impl Access {
    /// Returns the access to the routes, as `server.web` says.
    pub(super) fn guarded(routes: Router, state: Arc<State>) -> Self {
        Self { routes: TowerToHyperService::new(routes), state: Some(state) }
    }

    /// Returns the access to routes that are for everyone.
    pub(super) fn open(routes: Router) -> Self {
        Self { routes: TowerToHyperService::new(routes), state: None }
    }

    /// Returns the TLS in force.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        let web = self.state.as_ref()?.web();
        web.tls.as_ref().map(|tls| Arc::clone(&tls.config))
    }

    /// Returns the access of one client.
    pub(super) fn of(self, address: IpAddr, session: Option<Session>) -> ClientAccess {
        ClientAccess { access: self, client: Client { address, session } }
    }

    /// Counts and logs that a client was refused before its first request.
    pub(super) fn refused(&self, address: IpAddr, refusal: Refusal, detail: &str) {
        if let Some(state) = &self.state {
            state.agent.count_refusal(refusal.reason());
            state.guard.report(address, refusal, detail);
        }
    }
}

/// The access of one client.
pub(super) struct ClientAccess {
    access: Access,
    client: Client,
}

impl ClientAccess {
    /// Answers a request under the rules in force.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let (Access { routes, state }, client) = (&self.access, &self.client);
        let Some(state) = state else { return routes.call(request).await };
        let web = state.web();
        let (path, headers) = (request.uri().path(), request.headers());
        let mut response = match state.guard.judge(&web, client, path, headers).await {
            Ok(()) => routes.call(request).await?,
            Err(refusal) => {
                state.agent.count_refusal(refusal.reason());
                refusal.response()
            }
        };
        web.dress(&mut response);
        if !client.is_up_to_date(&web) {
            // The next connection shows the certificate that is in force.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        Ok(response)
    }
}
