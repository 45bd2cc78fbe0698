//! Turns at something that only one may do at a time, shared out fairly among addresses.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Requests of one address that wait.
const MAX_WAITING: usize = 8;

/// Addresses of which requests wait.
const MAX_ADDRESSES: usize = 256;

/// Turns, one at a time; addresses that wait take theirs in rotation.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    is_taken: bool,
    rotation: VecDeque<IpAddr>,
    waiting: BTreeMap<IpAddr, VecDeque<oneshot::Sender<Turn>>>,
}

/// A turn; the next one begins when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Turns>>);

impl Turns {
    /// Waits for a turn. Returns `None` where too many requests of the address wait already.
    pub(super) async fn take(self: &Arc<Self>, address: IpAddr) -> Option<Turn> {
        let next = {
            let mut queue = self.queue();
            if !queue.is_taken {
                queue.is_taken = true;
                return Some(Turn(Some(Arc::clone(self))));
            }
            queue.wait(network(address))?
        };
        // Whoever ends a turn hands it on; it cannot be lost.
        next.await.ok()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_on(self: Arc<Self>) {
        let mut turn = Turn(Some(self));
        loop {
            // Not while the queue is locked: a turn that nobody takes is dropped.
            let Some(turns) = turn.0.as_ref() else { return };
            let Some(next) = turns.queue().next() else {
                turn.0 = None;
                return;
            };
            match next.send(turn) {
                Ok(()) => return,
                // Its client is gone.
                Err(unwanted) => turn = unwanted,
            }
        }
    }
}

impl Queue {
    fn wait(&mut self, address: IpAddr) -> Option<oneshot::Receiver<Turn>> {
        let (sender, receiver) = oneshot::channel();
        if let Some(waiting) = self.waiting.get_mut(&address) {
            waiting.retain(|sender| !sender.is_closed());
            if waiting.len() >= MAX_WAITING {
                return None;
            }
            waiting.push_back(sender);
        } else {
            if self.waiting.len() >= MAX_ADDRESSES {
                return None;
            }
            self.waiting.insert(address, VecDeque::from([sender]));
            self.rotation.push_back(address);
        }
        Some(receiver)
    }

    /// Returns whose turn it is; without any, the turn is free.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        while let Some(address) = self.rotation.pop_front() {
            let Some(waiting) = self.waiting.get_mut(&address) else { continue };
            let next = waiting.pop_front();
            if waiting.is_empty() {
                self.waiting.remove(&address);
            } else {
                self.rotation.push_back(address);
            }
            if next.is_some() {
                return next;
            }
        }
        self.is_taken = false;
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

/// Returns what stands for a client: a host of IPv6 has 2^64 addresses at its choice.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [127, 0, 0, last].into()
    }

    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn turn_goes_round_the_addresses() {
        let turns = Arc::new(Turns::default());
        let first = turns.take(address(1)).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        for last in [1, 1, 1, 2] {
            let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
            tokio::spawn(async move {
                let _turn = turns.take(address(last)).await.unwrap();
                order.lock().unwrap().push(last);
            });
            settle().await;
        }
        drop(first);
        settle().await;
        assert_eq!(*order.lock().unwrap(), [1, 2, 1, 1]);
        assert!(turns.take(address(3)).await.is_some());
    }

    #[tokio::test]
    async fn address_with_too_many_waiting_is_turned_away() {
        let turns = Arc::new(Turns::default());
        let first = turns.take(address(1)).await.unwrap();
        let waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move { turns.take(address(1)).await.is_some() })
            })
            .collect();
        settle().await;
        assert!(turns.take(address(1)).await.is_none());
        // Those whose clients are gone leave their places, and no turn is lost on them.
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        settle().await;
        let again = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.take(address(1)).await.is_some() }
        });
        settle().await;
        drop(first);
        assert!(again.await.unwrap());
        assert!(turns.take(address(2)).await.is_some());
    }

    #[test]
    fn network_of_ipv6_is_one_client() {
        let parse = |text: &str| network(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:1"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:127.0.0.1"), parse("127.0.0.1"));
    }
}
