//! Name resolution on threads of its own, so that it cannot starve the process.
//!
//! The system's resolver blocks and cannot be cancelled. On the runtime's own blocking
//! threads, the lookups of many sites with a hanging name server would take all threads, which scrapes
//! and exports need. Lookups use a limited number of threads of their own.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

/// Concurrent lookups over all sites. A hanging lookup keeps its permit until the system gives up.
static PERMITS: Semaphore = Semaphore::const_new(64);

/// Resolves names on threads of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The thread holds the permit, because this future may be dropped before it ends.
            let permit = PERMITS.acquire().await?;
            let addresses = look_up(name.as_str().to_owned(), permit).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

async fn look_up(name: String, permit: SemaphorePermit<'static>) -> io::Result<Vec<SocketAddr>> {
    let (reply, found) = oneshot::channel();
    std::thread::Builder::new().name("dns".to_owned()).spawn(move || {
        let found = (name.as_str(), 0).to_socket_addrs().map(Iterator::collect);
        // The request may have been dropped.
        let _ = reply.send(found);
        drop(permit);
    })?;
    found.await.unwrap_or_else(|_| Err(io::Error::other("the lookup ended without an answer")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn name_is_resolved() {
        let found = Resolver.resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(found.into_iter().all(|address| address.ip().is_loopback()));
    }

    #[tokio::test]
    async fn unknown_name_is_an_error() {
        assert!(Resolver.resolve("nosuchhost.invalid".parse().unwrap()).await.is_err());
    }
}
