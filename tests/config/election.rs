//! The settings of an election.

use std::time::Duration;

use super::{load, with_server};

#[test]
fn election_has_a_duration_and_the_namespace_of_the_pod() {
    let config = load(&with_server("election: {lease: nbu-otel.agent-1}")).unwrap().config;
    let election = config.election.expect("an election");
    assert_eq!((election.lease.as_str(), election.namespace), ("nbu-otel.agent-1", None));
    assert_eq!(election.duration, Duration::from_secs(9));
    let without = load(&with_server("election: {duration: 10s}")).unwrap().config;
    assert_eq!(without.election, None);
}

#[test]
fn leaders_can_share_their_state() {
    let text = "election: {lease: nbu}\nstate: {directory: kept, shared: true}";
    assert!(load(&with_server(text)).unwrap().config.state.shared);
}

#[test]
fn election_that_cannot_be_held_is_refused() {
    for (text, expected) in [
        ("election: {namespace: backup}", "election.lease: missing: an election needs the name"),
        (
            "election: {lease: nbu}\nsharding: {shards: 3, shard: 0}",
            "election.lease: not beside sharding",
        ),
        ("election: {lease: Nbu}", "election.lease: expected a name of Kubernetes: at most 253"),
        ("election: {lease: nbu-}", "election.lease: expected a name of Kubernetes"),
        ("election: {lease: a..b}", "election.lease: expected a name of Kubernetes"),
        (
            "election: {lease: a, namespace: a.b}",
            "election.namespace: expected a name of Kubernetes: at most 63",
        ),
        (
            "election: {lease: a, duration: 4s}",
            "election.duration: expected whole seconds from 5s to 60s",
        ),
        ("election: {lease: a, duration: 5500ms}", "election.duration: expected whole seconds"),
        ("election: {lease: a, duration: 61s}", "election.duration: expected whole seconds"),
        ("election: {lease: a, renew: 1s}", "election: unknown key \"renew\""),
        ("state: {directory: kept, shared: true}", "set sharding.shards or election.lease"),
    ] {
        let errors = load(&with_server(text)).unwrap_err().to_string();
        assert!(errors.contains(expected), "{text}: {errors}");
    }
}
