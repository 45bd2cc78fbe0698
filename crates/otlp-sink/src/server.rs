//! The thread with its runtime on which a sink is served.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::state::State;
use crate::{Tls, grpc, http};

/// Time that tasks get to notice the end; the runtime drops those that are left.
const LINGER: Duration = Duration::from_millis(500);

/// A sink that is being served.
pub(crate) struct Running {
    pub(crate) grpc: Option<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
    /// Dropped to end it.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Binds and serves. The caller need not be on a runtime.
    pub(crate) fn start(
        grpc: Option<SocketAddr>,
        http: Option<SocketAddr>,
        tls: Option<&Tls>,
        state: &Arc<State>,
    ) -> io::Result<Self> {
        let acceptor = tls.map(acceptor).transpose()?;
        let grpc = grpc.map(bind).transpose()?;
        let http = http.map(bind).transpose()?;
        let addresses = (
            grpc.as_ref().map(TcpListener::local_addr).transpose()?,
            http.as_ref().map(TcpListener::local_addr).transpose()?,
        );
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (tls, state) = (tls.cloned(), Arc::clone(state));
        let thread = std::thread::Builder::new().name("otlp-sink".to_owned()).spawn(move || {
            runtime.block_on(async {
                if let Err(error) = spawn_servers(grpc, http, tls, acceptor, &state) {
                    tracing::warn!(%error, "the OTLP sink could not serve");
                }
                // An error is the sender that was dropped.
                let _ = stopped.await;
            });
            runtime.shutdown_timeout(LINGER);
        })?;
        Ok(Self { grpc: addresses.0, http: addresses.1, stop, thread })
    }

    /// Ends it and waits until its sockets are closed.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        // The thread ends within the linger time; whether it panicked matters to nobody.
        let _ = tokio::task::spawn_blocking(|| self.thread.join()).await;
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn spawn_servers(
    grpc: Option<TcpListener>,
    http: Option<TcpListener>,
    tls: Option<Tls>,
    acceptor: Option<TlsAcceptor>,
    state: &Arc<State>,
) -> io::Result<()> {
    if let Some(listener) = grpc {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let state = Arc::clone(state);
        tokio::spawn(async move {
            if let Err(error) = grpc::serve(listener, tls, state).await {
                tracing::warn!(%error, "the OTLP sink's gRPC server ended");
            }
        });
    }
    if let Some(listener) = http {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let state = Arc::clone(state);
        tokio::spawn(async move {
            if let Err(error) = http::serve(listener, acceptor, state).await {
                tracing::warn!(%error, "the OTLP sink's HTTP server ended");
            }
        });
    }
    Ok(())
}

fn acceptor(tls: &Tls) -> io::Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(tls.certificate.as_bytes()).flatten().collect();
    let key = PrivateKeyDer::from_pem_slice(tls.key.as_bytes()).map_err(io::Error::other)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots
                .add_parsable_certificates(CertificateDer::pem_slice_iter(ca.as_bytes()).flatten());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(io::Error::other)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(chain, key).map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
