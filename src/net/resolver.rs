//! Name resolution that cannot starve the process.
//!
//! The system's resolver blocks and cannot be cancelled. Left to the runtime's own blocking threads,
//! the lookups of many sites whose name server hangs would take all of them, and with them scrapes
//! and exports. Here they take threads of their own, of which there are few.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, OnceLock};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Lookups at once, over all sites. One that hangs keeps its place until the system gives up.
const MOST: usize = 64;

/// Resolves names on threads of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The permit goes with the thread, not with this future, which may be dropped before.
            let permit = Arc::clone(places()).acquire_owned().await?;
            let addresses = look_up(name.as_str().to_owned(), permit).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn places() -> &'static Arc<Semaphore> {
    static PLACES: OnceLock<Arc<Semaphore>> = OnceLock::new();
    PLACES.get_or_init(|| Arc::new(Semaphore::new(MOST)))
}

async fn look_up(name: String, permit: OwnedSemaphorePermit) -> io::Result<Vec<SocketAddr>> {
    let (reply, found) = oneshot::channel();
    std::thread::Builder::new().name("dns".to_owned()).spawn(move || {
        let found = (name.as_str(), 0).to_socket_addrs().map(Iterator::collect);
        // Nobody may wait for it any more.
        let _ = reply.send(found);
        drop(permit);
    })?;
    found.await.unwrap_or_else(|_| Err(io::Error::other("the lookup ended without an answer")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_resolved() {
        let found = Resolver.resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(found.into_iter().all(|address| address.ip().is_loopback()));
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_an_error() {
        assert!(Resolver.resolve("nosuchhost.invalid".parse().unwrap()).await.is_err());
    }
}
