//! The routes. Only the exposition's path is a setting, so it is matched at each request.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};

use super::{State, reload, status_page};
use crate::telemetry::exposition::CONTENT_TYPE;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/", get(landing))
        .route("/health", get(health))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/-/reload", any(reload::reload))
        .fallback(exposition)
        .with_state(state)
}

async fn landing(Extract(state): Extract<Arc<State>>) -> Response {
    let page = status_page::render(&state);
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

/// Liveness: the process answers. Never depends on NetBackup.
async fn healthy() -> &'static str {
    "OK\n"
}

/// Readiness: a configuration is in force and this listener is up. Never depends on NetBackup.
async fn ready(Extract(state): Extract<Arc<State>>) -> Response {
    if state.ready.load(Relaxed) {
        "OK\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "NOT READY: no configuration is in force yet\n")
            .into_response()
    }
}

/// The old exporter's health: whether any NetBackup API answers.
async fn health(Extract(state): Extract<Arc<State>>) -> Response {
    if state.store.snapshots().iter().any(|snapshot| snapshot.up == Some(true)) {
        "OK".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "UNHEALTHY: NetBackup API unreachable").into_response()
    }
}

async fn exposition(
    Extract(state): Extract<Arc<State>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = state.metrics_path.load();
    if uri.path() != path.as_str() {
        let hint = format!("404: nothing here; the metrics are at {path}\n");
        return (StatusCode::NOT_FOUND, hint).into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let gzip = accepts_gzip(&headers);
    let renderer = Arc::clone(&state.renderer);
    let Ok(chunks) = tokio::task::spawn_blocking(move || renderer.scrape(gzip)).await else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the exposition could not be made\n")
            .into_response();
    };
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

/// Whether the client takes gzip (RFC 9110, section 12.5.3): named, or by `*`, with a weight above
/// zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut others = false;
    for field in headers.get_all(header::ACCEPT_ENCODING) {
        for item in field.to_str().unwrap_or_default().split(',') {
            let mut parts = item.split(';').map(str::trim);
            let coding = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
            match coding.as_str() {
                "gzip" | "x-gzip" => return weight > 0.0,
                "*" => others = weight > 0.0,
                _ => {}
            }
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let cases = [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0, *", false),
            ("*", true),
            ("*;q=0", false),
            ("identity", false),
            ("", false),
            ("gzip;q=x", false),
        ];
        for (value, expected) in cases {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]);
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
