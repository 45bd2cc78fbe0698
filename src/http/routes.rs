//! The routes. Only the path of the exposition is a setting, so it is matched at each request.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use tokio::sync::Semaphore;

use super::connections::{Connections, Scrape};
use super::encoding::accepts_gzip;
use super::origin::Hosts;
use super::scrapes::Scrapes;
use super::state::{Endpoint, State};
use super::target::{NoTarget, Target};
use super::{reload, status_page};
use crate::telemetry::prometheus::encode::CONTENT_TYPE;

/// Permissions of the landing page in a browser: to show its own text in its own style.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";

pub(super) fn router(state: Arc<State>, hosts: Hosts, connections: Arc<Connections>) -> Router {
    let (hosts, scrapes) = (Arc::new(hosts), Arc::new(Scrapes::new(connections)));
    let reloads = Arc::new(Semaphore::new(reload::MAX_WAITING));
    Router::new()
        .route("/", get(landing))
        .route("/health", get(health))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/-/reload", any(reload::reload))
        .fallback(exposition)
        .with_state(Endpoint { state, hosts, reloads, scrapes })
}

/// Returns the routes of the listener for health checks.
pub(super) fn health_router(state: Arc<State>) -> Router {
    let is_ready = move || async move { readiness(&state) };
    Router::new().route("/-/healthy", get(healthy)).route("/-/ready", get(is_ready))
}

async fn landing(Extract(Endpoint { state, .. }): Extract<Endpoint>) -> Response {
    let page = status_page::render(&state);
    let fields = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::X_FRAME_OPTIONS, "deny"),
    ];
    (fields, page).into_response()
}

/// Answers the liveness probe. Never depends on NetBackup.
async fn healthy() -> &'static str {
    "OK\n"
}

/// Answers the readiness probe: a configuration is in force. Never depends on NetBackup.
async fn ready(Extract(Endpoint { state, .. }): Extract<Endpoint>) -> Response {
    readiness(&state)
}

fn readiness(state: &State) -> Response {
    if state.ready.load(Relaxed) {
        "OK\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "NOT READY: no configuration is loaded yet\n")
            .into_response()
    }
}

/// Answers the health check of nbu_exporter: any NetBackup API responds, or another agent asks them.
async fn health(Extract(Endpoint { state, .. }): Extract<Endpoint>) -> Response {
    if state.is_standby() {
        // It does not ask any, and nothing is wrong with it.
        return "STANDBY".into_response();
    }
    if state.store.snapshots().iter().any(|snapshot| snapshot.up == Some(true)) {
        "OK".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "UNHEALTHY: NetBackup API unreachable").into_response()
    }
}

async fn exposition(
    Extract(Endpoint { state, scrapes, .. }): Extract<Endpoint>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = state.metrics_path();
    if uri.path() != path {
        let hint = format!("404: not found; the metrics are at {path}\n");
        return (StatusCode::NOT_FOUND, hint).into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let is_standby = state.is_standby();
    let target = match Target::of(uri.query().unwrap_or_default(), &state.store) {
        // Another agent shows the sites by now.
        Ok(Target::Site(_)) if is_standby => {
            return (StatusCode::NOT_FOUND, "404: this agent is a standby\n").into_response();
        }
        Ok(_) if is_standby => Target::Agent,
        Ok(target) => target,
        Err(none) => {
            let status = match none {
                NoTarget::Several => StatusCode::BAD_REQUEST,
                NoTarget::Unknown { .. } => StatusCode::NOT_FOUND,
            };
            return (status, none.message()).into_response();
        }
    };
    let Some(place) = scrapes.place().await else {
        let hint =
            "503: too many scrapes are in flight; scrape less often, or from fewer clients\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], hint)
            .into_response();
    };
    let gzip = accepts_gzip(&headers);
    let renderer = Arc::clone(&state.renderer);
    let mut page = None;
    if let Target::Site(site) = &target {
        page = renderer.site_page(site).await;
        if page.is_none() {
            let hint = "503: the page of the site is not rendered yet\n";
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], hint)
                .into_response();
        }
    }
    let scrape = move || match (page, target) {
        (Some(page), _) => renderer.scrape_site(page, gzip),
        (None, Target::Agent) => renderer.scrape_agent(gzip),
        (None, _) => renderer.scrape(gzip),
    };
    let Ok(body) = tokio::task::spawn_blocking(scrape).await else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the metrics page could not be rendered\n")
            .into_response();
    };
    let mut response = page_response(body.chunks, gzip);
    // The connection keeps it until the page is sent.
    let page = (Arc::as_ptr(&body.page).addr(), body.page.size());
    response.extensions_mut().insert(Arc::new(Scrape { _place: place, _kept: body.page, page }));
    response
}

fn page_response(chunks: Vec<Bytes>, gzip: bool) -> Response {
    let length: usize = chunks.iter().map(Bytes::len).sum();
    let chunks = chunks.into_iter().map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(futures_util::stream::iter(chunks)));
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    fields.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
