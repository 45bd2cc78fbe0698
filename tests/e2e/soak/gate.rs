//! A gate before a server: closed, it drops its connections and refuses new ones, as a server that is restarted.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::process::port;

/// An address that leads to a server while it is open. Ends with its value.
pub struct Gate {
    pub address: SocketAddr,
    open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Gate {
    /// Opens a gate that leads to a server.
    pub fn to(server: SocketAddr) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port()));
        let (open, is_open) = watch::channel(true);
        let task = tokio::spawn(serve(address, server, is_open));
        Self { address, open, task }
    }

    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(address: SocketAddr, server: SocketAddr, mut is_open: watch::Receiver<bool>) {
    while is_open.wait_for(|open| *open).await.is_ok() {
        let listener = TcpListener::bind(address).await.expect("its own port");
        // Dropped with the listener.
        let mut lines = JoinSet::new();
        loop {
            tokio::select! {
                _ = is_open.wait_for(|open| !*open) => break,
                Ok((client, _)) = listener.accept() => {
                    lines.spawn(hand_on(client, server));
                }
                Some(_) = lines.join_next() => {}
            }
        }
    }
}

async fn hand_on(mut client: TcpStream, server: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(server).await {
        // Either side may end as it likes.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}
