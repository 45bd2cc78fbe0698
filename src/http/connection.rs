//! A connection: a socket that reports its activity, and HTTP over it.

use std::error::Error;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::access::{Access, ClientAccess};
use super::connections::{Connection, Entry, Scrape};
use super::web::{Refusal, Session};

const MAX_HEAD: usize = 16 << 10;

/// First byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Time for the first byte of a client that was connected before the listener closed.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves a connection until it ends, takes too long, or gives up its place. After `stop` it ends
/// with the request that is under way.
pub(super) async fn serve(
    stream: TcpStream,
    entry: Entry,
    access: Access,
    stop: CancellationToken,
) {
    let connection = Arc::clone(&entry.connection);
    // Without it, the end of a page waits for the client's delayed acknowledgement, some 40 ms.
    // A socket that refuses it works too.
    let _ = stream.set_nodelay(true);
    tokio::select! {
        biased;
        () = connection.closed.cancelled() => {}
        () = serve_socket(stream, &connection, access, stop) => {}
    }
}

async fn serve_socket(
    stream: TcpStream,
    connection: &Arc<Connection>,
    access: Access,
    stop: CancellationToken,
) {
    let Some(first) = first_byte(&stream, &stop).await else { return };
    let (address, socket) =
        (connection.peer, Socket { stream, connection: Arc::clone(connection) });
    // Only now: the rules of this moment count.
    let tls = access.tls();
    // Whoever speaks plain text to an endpoint with TLS is told so by the guard.
    let Some(config) = tls.filter(|_| first == TLS_HANDSHAKE) else {
        return serve_http(socket, connection, access.of(address, None), stop).await;
    };
    match TlsAcceptor::from(Arc::clone(&config)).accept(socket).await {
        Ok(stream) => {
            connection.secured();
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let chain = chain.iter().map(|it| it.clone().into_owned()).collect();
            let access = access.of(address, Some(Session { config, chain }));
            serve_http(stream, connection, access, stop).await;
        }
        // Without a reason of TLS the client went away.
        Err(error)
            if error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>) =>
        {
            access.refused(address, Refusal::Handshake, &error.to_string());
        }
        Err(_) => {}
    }
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: &Arc<Connection>,
    access: ClientAccess,
    stop: CancellationToken,
) {
    let access = Arc::new(access);
    let service = service_fn(|request: Request<Incoming>| {
        connection.begin_answer();
        let (access, connection) = (Arc::clone(&access), Arc::clone(connection));
        async move { access.answer(request).await.map(|response| watched(response, connection)) }
    });
    let served = http1::Builder::new()
        // Its time of a head begins with the idle time before it; `Connections` has both apart.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        // A client may close its side once it has asked (`nc -N`, some probes).
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    // A request that was sent is read before the connection is shut down; hyper-util's
    // GracefulShutdown shuts it down first. Errors are the client's affair.
    tokio::select! {
        biased;
        _ = served.as_mut() => return,
        () = stop.cancelled() => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}

/// Waits until a client sends something, and returns the first byte; none if the listener closed and it did not. HTTP
/// closes a connection that is shut down earlier without an answer, though its request may be on the
/// way.
async fn first_byte(stream: &TcpStream, stop: &CancellationToken) -> Option<u8> {
    let ended = async {
        stop.cancelled().await;
        tokio::time::sleep(FIRST_BYTE_TIMEOUT).await;
    };
    let mut first = [0];
    tokio::select! {
        biased;
        sent = stream.peek(&mut first) => sent.is_ok().then_some(first[0]),
        () = ended => None,
    }
}

fn watched(mut response: Response<Body>, connection: Arc<Connection>) -> Response<Watched> {
    connection.begin_sending(response.extensions_mut().remove::<Arc<Scrape>>());
    response.map(|body| Watched { body, connection })
}

/// A body that reports when it was handed over. What was handed over is not sent yet.
struct Watched {
    body: Body,
    connection: Arc<Connection>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.connection.end_of_body();
    }
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that reports what is read from it and written to it.
struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl Socket {
    fn report(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.connection.wrote(written.is_ready());
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.connection.received();
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.report(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.report(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            // Called once all that was handed over is written.
            self.connection.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::Router;
    use axum::routing::get;
    use socket2::SockRef;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::connections::Connections;
    use super::*;

    #[tokio::test]
    async fn responses_do_not_wait_for_acknowledgements() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, peer) = listener.accept().await.unwrap();
        let same_socket = SockRef::from(&accepted).try_clone().unwrap();
        let access = Access::open(Router::new().route("/", get(|| async { "OK" })));
        let entry = Arc::new(Connections::default()).add(peer.ip());
        tokio::spawn(serve(accepted, entry, access, CancellationToken::new()));
        client.write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(same_socket.tcp_nodelay().unwrap());
    }
}
