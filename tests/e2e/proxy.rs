//! A slow line to a receiver.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
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
