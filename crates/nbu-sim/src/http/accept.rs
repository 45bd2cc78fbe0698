//! Connections: accepting them, TLS, HTTP/1, and the way from a request to its answer.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Response, StatusCode, request::Parts};
use futures_util::{StreamExt as _, stream};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::log::{Authorization, RequestLog};
use super::negotiate;
use super::reply::Reply;
use super::request::Request;
use crate::faults::apply::{self, Before};
use crate::resources::{Access, Route, routes};
use crate::shared::Shared;

/// Every path of the API begins so.
const PREFIX: &str = "/netbackup";
/// Largest body of a request.
const LARGEST_BODY: usize = 1 << 20;

/// Accepts connections until the server is stopped.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    server: Arc<Shared>,
    tasks: TaskTracker,
) {
    loop {
        let stream = tokio::select! {
            () = server.stopped().cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, say: it may pass.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        server.log().connected();
        let (tls, server) = (tls.clone(), Arc::clone(&server));
        tasks.spawn(async move {
            let stop = server.stopped().clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection(stream, tls, server) => {}
            }
        });
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, server: Arc<Shared>) {
    // Answers are written whole: waiting for more only adds latency.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve(stream, server).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => serve(stream, server).await,
            Err(error) => tracing::debug!(%error, "the TLS handshake failed"),
        },
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, server: Arc<Shared>) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { answer(&server, request).await }
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Answers a request; an error closes the connection without an answer.
async fn answer(
    server: &Shared,
    request: axum::http::Request<Incoming>,
) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let key = parts.headers.get("authorization").and_then(|key| key.to_str().ok());
    server.log().arrived(key);
    let body = to_bytes(Body::new(body), LARGEST_BODY).await.map_err(io::Error::other)?;
    let Some(mut asked) = read(&parts, body.to_vec()) else {
        let version = server.release().api_version();
        return response(Reply::bad_request(version, "the query is not encoded"), false);
    };
    let authorization = server.check_key(&parts.headers);
    let mut entry = entry(&asked, authorization, server.clock().now_ms());
    let page = apply::page_of(&asked);
    let filter = asked.parameter("filter").unwrap_or_default();
    let actions = server.faults().strike(asked.method(), &asked.decoded_path(), filter, page);
    let mut reply = match apply::before(&actions, &mut asked).await {
        Before::Handle => handle(server, &parts, &mut asked, authorization),
        Before::Answer(reply) => *reply,
        Before::Close => {
            server.log().push(entry);
            return Err(io::Error::other("an injected fault closes the connection"));
        }
        Before::Hang => {
            server.log().push(entry);
            return std::future::pending().await;
        }
    };
    apply::after(&actions, &asked, page, &mut reply);
    entry.status = reply.status;
    server.log().push(entry);
    let gzip = server.settings().gzip && reply.cut.is_none();
    response(reply, gzip && asked.header("accept-encoding").is_some_and(|all| all.contains("gzip")))
}

/// The request as resources see it; `None` where its query is not encoded.
fn read(parts: &Parts, body: Vec<u8>) -> Option<Request> {
    let path = parts.uri.path();
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    let query = parts.uri.query().unwrap_or("");
    Request::new(parts.method.as_str(), path, query, parts.headers.clone(), body)
}

/// Returns the log entry of a request before it is answered.
fn entry(asked: &Request, authorization: Authorization, at_ms: i64) -> RequestLog {
    RequestLog {
        method: asked.method().to_owned(),
        path: asked.path().to_owned(),
        query: asked.query().to_vec(),
        status: 0,
        authorization,
        accept: asked.header("accept").map(str::to_owned),
        at_ms,
    }
}

/// The answer of the resource, after what holds for all resources.
fn handle(
    server: &Shared,
    parts: &Parts,
    request: &mut Request,
    authorization: Authorization,
) -> Reply {
    let newest = server.release();
    if !parts.uri.path().starts_with(PREFIX) {
        return Reply::not_found(newest.api_version());
    }
    let mut routes = routes().filter(|route| route.leads_to(request.path(), newest)).peekable();
    if routes.peek().is_none() {
        return Reply::not_found(newest.api_version());
    }
    let Some(route) = routes.find(|route| route.method == request.method()) else {
        return Reply::method_not_allowed(newest.api_version());
    };
    match admit(server, &route, newest, request, authorization) {
        Ok(()) => (route.handle)(server, request),
        Err(reply) => *reply,
    }
}

/// Fixes the version, and turns away who has no key or speaks no version of ours.
fn admit(
    server: &Shared,
    route: &Route,
    newest: crate::settings::Release,
    request: &mut Request,
    authorization: Authorization,
) -> Result<(), Box<Reply>> {
    request.serve(newest.api_version().to_owned());
    if route.access == Access::Open {
        return Ok(());
    }
    if authorization != Authorization::Valid {
        return Err(Box::new(Reply::unauthorized(newest.api_version())));
    }
    let Some(version) = negotiate::version(request.header("accept"), newest) else {
        return Err(Box::new(Reply::not_acceptable(newest.api_version())));
    };
    if !server.grants(route.permission) {
        return Err(Box::new(Reply::unauthorized(newest.api_version())));
    }
    let typed = request.method() != "POST"
        || negotiate::version(request.header("content-type"), newest).is_some();
    request.serve(version);
    if typed { Ok(()) } else { Err(Box::new(Reply::unsupported_type(request.served()))) }
}

fn response(reply: Reply, gzip: bool) -> io::Result<Response<Body>> {
    let mut body = reply.body;
    let mut builder = Response::builder()
        .status(StatusCode::from_u16(reply.status).map_err(io::Error::other)?)
        .header("content-type", &reply.content_type);
    for (name, value) in &reply.headers {
        builder = builder.header(*name, value);
    }
    if gzip {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&body)?;
        body = encoder.finish()?;
        builder = builder.header("content-encoding", "gzip");
    }
    builder = builder.header("content-length", body.len());
    let body = match reply.cut {
        None => Body::from(body),
        Some(kept) => {
            body.truncate(kept);
            // The pause lets the first part go out: an error at once would close without any answer.
            let cut = stream::once(async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(io::Error::other("an injected fault cuts the body"))
            });
            Body::from_stream(stream::iter([Ok(Bytes::from(body))]).chain(cut))
        }
    };
    builder.body(body).map_err(io::Error::other)
}
