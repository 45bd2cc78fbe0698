//! Lines to servers: a slow one, and one that can be cut.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes that go over the line at once, and the pause after them: some 100 KB a second.
const PIECE: usize = 2 * 1024;
const PAUSE: Duration = Duration::from_millis(20);

/// Hands connections on to `to`, and what is sent over them slowly. Ends with its value.
pub struct SlowLine {
    /// Address at which it accepts connections.
    pub authority: String,
    task: JoinHandle<()>,
}

impl SlowLine {
    /// Starts one.
    pub async fn to(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let authority = listener.local_addr().expect("it has an address").to_string();
        let task = tokio::spawn(async move {
            let mut lines = tokio::task::JoinSet::new();
            while let Ok((inner, _)) = listener.accept().await {
                lines.spawn(hand_on(inner, to.clone()));
            }
        });
        Self { authority, task }
    }
}

impl Drop for SlowLine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn hand_on(inner: TcpStream, to: String) {
    let Ok(outer) = TcpStream::connect(to).await else { return };
    let (mut from_agent, mut to_agent) = inner.into_split();
    let (mut from_receiver, mut to_receiver) = outer.into_split();
    let slowly = async {
        let mut piece = vec![0; PIECE];
        while let Ok(read @ 1..) = from_agent.read(&mut piece).await {
            if to_receiver.write_all(&piece[..read]).await.is_err() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let back = async { _ = tokio::io::copy(&mut from_receiver, &mut to_agent).await };
    tokio::select! { () = slowly => {}, () = back => {} }
}

/// Hands connections on to `to`, until it is cut: then what is sent is neither handed on nor refused. Ends with its
/// value.
pub struct CutLine {
    /// Address at which it accepts connections.
    pub authority: String,
    is_cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl CutLine {
    /// Starts one.
    pub async fn to(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let authority = listener.local_addr().expect("it has an address").to_string();
        let (is_cut, cuts) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut lines = tokio::task::JoinSet::new();
            while let Ok((inner, _)) = listener.accept().await {
                let (to, cuts) = (to.clone(), cuts.clone());
                lines.spawn(async move {
                    let Ok(outer) = TcpStream::connect(to).await else { return };
                    let (from_inner, to_inner) = inner.into_split();
                    let (from_outer, to_outer) = outer.into_split();
                    tokio::select! {
                        () = copy_unless(from_inner, to_outer, cuts.clone()) => {}
                        () = copy_unless(from_outer, to_inner, cuts) => {}
                    }
                });
            }
        });
        Self { authority, is_cut, task }
    }

    /// Cuts it, connections that are open as well.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Hands on again.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

impl Drop for CutLine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn copy_unless(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, cuts: watch::Receiver<bool>) {
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let is_whole = cuts.clone().wait_for(|is_cut| !is_cut).await.is_ok();
        if !is_whole || to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}
