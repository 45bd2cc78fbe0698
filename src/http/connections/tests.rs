//! Which connections are closed, by a clock that the tests move.

use tokio::sync::Semaphore;
use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn address(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

fn list() -> Arc<Connections> {
    Arc::default()
}

fn is_closed(entry: &Entry) -> bool {
    entry.connection.closed.is_cancelled()
}

fn closed(entries: &[Entry]) -> Vec<usize> {
    (0..entries.len()).filter(|&i| is_closed(&entries[i])).collect()
}

fn scrape(entry: &Entry, page: (usize, usize)) {
    let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    entry.connection.received();
    entry.connection.begin_answer();
    let scrape = Scrape { _place: place, _kept: Arc::default(), page };
    entry.connection.begin_sending(Some(Arc::new(scrape)));
}

#[tokio::test(start_paused = true)]
async fn head_has_ten_seconds_whatever_the_idle_time_before() {
    let list = list();
    let entry = list.add(address(1));
    advance(IDLE_TIMEOUT.saturating_sub(SECOND)).await;
    list.sweep();
    for _ in 0..9 {
        // A byte each second.
        entry.connection.received();
        advance(SECOND).await;
        list.sweep();
        assert!(!is_closed(&entry));
    }
    entry.connection.received();
    advance(SECOND).await;
    list.sweep();
    assert!(is_closed(&entry));
}

#[tokio::test(start_paused = true)]
async fn idle_time_restarts_after_each_response() {
    let list = list();
    let entry = list.add(address(1));
    for _ in 0..3 {
        advance(IDLE_TIMEOUT.saturating_sub(SECOND)).await;
        entry.connection.received();
        entry.connection.begin_answer();
        entry.connection.begin_sending(None);
        entry.connection.end_of_body();
        entry.connection.flushed();
        list.sweep();
        assert!(!is_closed(&entry));
    }
    advance(IDLE_TIMEOUT).await;
    list.sweep();
    assert!(is_closed(&entry));
}

#[tokio::test(start_paused = true)]
async fn longest_waiting_connection_is_closed_to_make_room() {
    let list = list();
    let mut entries = Vec::new();
    for last in 0..4 {
        entries.push(list.add(address(last)));
        advance(SECOND).await;
    }
    // The first one scrapes, the second one has half a head since now.
    scrape(&entries[0], (1, 1));
    entries[1].connection.received();
    let fresh = list.add(address(9));
    advance(WAIT_TOLERANCE.saturating_sub(Duration::from_millis(1))).await;
    list.make_room();
    list.make_room();
    list.make_room();
    assert!(!is_closed(&fresh) && !is_closed(&entries[1]), "their requests may be on the way");
    advance(Duration::from_millis(1)).await;
    drop(fresh);
    for expected in [&[1, 2, 3][..], &[1, 2, 3]] {
        list.make_room();
        assert_eq!(closed(&entries), expected);
    }
    entries[0].connection.wrote(false);
    advance(STALL_TOLERANCE).await;
    list.make_room();
    assert!(is_closed(&entries[0]), "nobody waits, and it does not read");
}

#[tokio::test(start_paused = true)]
async fn address_with_too_many_waiting_connections_loses_its_oldest() {
    let list = list();
    let other = list.add(address(2));
    let busy = list.add(address(1));
    scrape(&busy, (1, 1));
    let mut entries = Vec::new();
    for _ in 0..MAX_CONNECTIONS / 2 - 2 {
        entries.push(list.add(address(1)));
        advance(SECOND).await;
    }
    assert_eq!(closed(&entries), Vec::<usize>::new(), "there are places enough");
    entries.push(list.add(IpAddr::V6(std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped())));
    assert_eq!(closed(&entries), [0]);
    assert!(!is_closed(&other) && !is_closed(&busy));
}

#[tokio::test(start_paused = true)]
async fn client_that_reads_nothing_is_closed_slow_client_is_kept() {
    let list = list();
    let (stalled, slow) = (list.add(address(1)), list.add(address(1)));
    for entry in [&stalled, &slow] {
        scrape(entry, (1, 1));
        entry.connection.wrote(false);
    }
    for _ in 0..4 {
        advance(STALL_TIMEOUT.saturating_sub(SECOND)).await;
        slow.connection.wrote(true);
        slow.connection.wrote(false);
        advance(SECOND).await;
        list.sweep();
        assert!(is_closed(&stalled));
        assert_eq!(
            is_closed(&slow),
            slow.connection.activity().since.elapsed() >= RESPONSE_TIMEOUT
        );
    }
    assert!(is_closed(&slow), "not for ever");
}

#[tokio::test(start_paused = true)]
async fn scrape_that_stalls_longest_makes_room_for_another() {
    let list = list();
    let entries = [list.add(address(1)), list.add(address(2)), list.add(address(3))];
    for entry in &entries[..2] {
        scrape(entry, (1, 1));
        entry.connection.wrote(false);
        advance(STALL_TOLERANCE).await;
    }
    for expected in [&[0][..], &[0, 1], &[0, 1]] {
        list.make_room_for_scrape();
        assert_eq!(closed(&entries), expected, "who does not scrape has no place of a scrape");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_that_slow_clients_keep_are_bounded() {
    let list = list();
    let megabyte = 1 << 20;
    let mut entries = Vec::new();
    for page in 0..40 {
        let entry = list.add(address(1));
        scrape(&entry, (page, 5 * megabyte / 2));
        entries.push(entry);
        advance(SECOND).await;
        list.sweep();
        let open = entries.len() - closed(&entries).len();
        assert!(open * 5 / 2 <= 32, "{open} pages are kept");
    }
    assert!(!is_closed(&entries[39]) && is_closed(&entries[0]));
}

#[tokio::test(start_paused = true)]
async fn unchanged_page_closes_no_connection() {
    let list = list();
    let entries: Vec<Entry> = (0..40).map(|_| list.add(address(1))).collect();
    for entry in &entries {
        scrape(entry, (1, 2 * MAX_PINNED));
    }
    advance(PIN_TOLERANCE * 2).await;
    list.sweep();
    assert_eq!(closed(&entries), Vec::<usize>::new());
}

#[tokio::test(start_paused = true)]
async fn connection_that_ended_leaves_the_list() {
    let list = list();
    drop(list.add(address(1)));
    assert!(list.list().is_empty());
}
