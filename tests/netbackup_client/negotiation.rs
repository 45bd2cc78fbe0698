//! Negotiation of the API version.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nbu_otel_agent::netbackup::wire::jobs::JOBS;
use nbu_otel_agent::netbackup::{ApiVersion, ErrorKind, Query, Resource};

use crate::server::{Answer, KEY, Server, builder, session};

static DOWNGRADED: AtomicBool = AtomicBool::new(false);

static ODD: Resource = Resource { name: "odd", path: "/odd", permission: None, max_limit: 0 };

fn accepts(versions: &'static [&'static str]) -> impl Fn(&crate::server::Seen) -> Answer {
    move |seen| {
        if versions.iter().any(|version| seen.asks(version)) {
            Answer::json("{}")
        } else {
            Answer::error(406, "Invalid `Accept` type")
        }
    }
}

#[tokio::test]
async fn requests_carry_the_lower_of_both_newest_versions() {
    for (advertised, spoken) in [("12.0", "12.0"), ("99.1", "14.0"), ("14.0", "14.0")] {
        let server = Server::start(move |seen| {
            if seen.is_ping() { Answer::ping(advertised) } else { Answer::json("{}") }
        })
        .await;
        let client = server.client();
        assert_eq!(client.version(), None);
        session(&client).get(&JOBS, &Query::all()).await.unwrap();
        assert_eq!(client.version().unwrap().to_string(), spoken);
        assert!(server.calls()[0].asks(spoken), "{advertised}: {:?}", server.calls());
    }
}

#[tokio::test]
async fn ping_carries_no_key_and_requests_carry_it_raw() {
    let server = Server::api(|_| Answer::json("{}")).await;
    server.session().get(&JOBS, &Query::all()).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].path, "/netbackup/ping");
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!(seen[0].header("accept"), Some("text/vnd.netbackup+plain, */*;q=0.5"));
    assert_eq!(seen[1].path, "/netbackup/admin/jobs");
    assert_eq!(seen[1].header("authorization"), Some(KEY));
    assert_eq!(
        seen[1].header("user-agent"),
        Some(concat!("nbu-otel-agent/", env!("CARGO_PKG_VERSION")))
    );
    assert!(seen[1].header("accept-encoding").unwrap().contains("gzip"));
}

#[tokio::test]
async fn versions_are_tried_if_the_server_names_none() {
    let accept = accepts(&["12.0"]);
    let server =
        Server::start(move |seen| if seen.is_ping() { Answer::plain_ping() } else { accept(seen) })
            .await;
    let client = server.client();
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    assert_eq!(client.version(), Some(ApiVersion::new(12, 0)));
    let calls = server.calls();
    assert_eq!(calls.len(), 5, "three trials and two requests");
    assert!(calls[0].asks("14.0") && calls[1].asks("13.0") && calls[2].asks("12.0"));
    assert_eq!(calls[0].param("page[limit]"), Some("1"));
}

#[tokio::test]
async fn server_without_a_common_version_is_an_error() {
    let accept = accepts(&["9.0"]);
    let server =
        Server::start(move |seen| if seen.is_ping() { Answer::plain_ping() } else { accept(seen) })
            .await;
    let error = server.session().get(&JOBS, &Query::all()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Version);
    assert!(error.to_string().contains("NetBackup 10.3 or later"), "{error}");
    assert_eq!(server.calls().len(), 5);
}

#[tokio::test]
async fn old_server_gets_no_request() {
    for advertised in ["4", "9.0"] {
        let server = Server::start(move |_| Answer::ping(advertised)).await;
        let error = server.session().get(&JOBS, &Query::all()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Version);
        assert!(error.to_string().contains("is older than 10.0 (NetBackup 10.3)"), "{error}");
        assert_eq!(server.calls().len(), 0);
    }
}

#[tokio::test]
async fn configured_version_is_used_and_named_if_rejected() {
    let server = Server::api(accepts(&["13.0"])).await;
    let mut config = server.config();
    config.api_version = Some(ApiVersion::new(13, 0));
    session(&builder(config.clone()).build().unwrap()).get(&JOBS, &Query::all()).await.unwrap();
    config.api_version = Some(ApiVersion::new(11, 0));
    let client = builder(config).build().unwrap();
    let error = session(&client).get(&JOBS, &Query::all()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Version, Some(406)));
    assert!(error.to_string().contains("configured apiVersion 11.0"), "{error}");
    assert_eq!(server.pings(), 0);
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test]
async fn status_406_starts_another_negotiation() {
    let server = Server::start(|seen| {
        let now = if DOWNGRADED.load(Ordering::SeqCst) { "12.0" } else { "13.0" };
        if seen.is_ping() {
            Answer::ping(now)
        } else if seen.asks(now) {
            Answer::json("{}")
        } else {
            Answer::error(406, "Invalid `Accept` type")
        }
    })
    .await;
    let client = server.client();
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    DOWNGRADED.store(true, Ordering::SeqCst);
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    assert_eq!(client.version(), Some(ApiVersion::new(12, 0)));
    assert_eq!((server.pings(), server.calls().len()), (2, 3));
}

#[tokio::test]
async fn rejected_advertised_version_is_followed_by_lower_ones() {
    let server = Server::api(accepts(&["13.0", "11.0"])).await;
    let client = server.client();
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    assert_eq!(client.version(), Some(ApiVersion::new(13, 0)));
    // The negotiated version stays, although the header still names the other one.
    session(&client).ping().await.unwrap();
    assert_eq!(client.version(), Some(ApiVersion::new(13, 0)));
}

#[tokio::test]
async fn resource_rejected_in_every_version_negotiates_once_per_request() {
    let server = Server::api(|seen| {
        if seen.path.ends_with("/odd") { Answer::error(406, "no") } else { Answer::json("{}") }
    })
    .await;
    let client = server.client();
    let error = session(&client).get(&ODD, &Query::all()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Version, Some(406)));
    let odd = server.calls().iter().filter(|seen| seen.path.ends_with("/odd")).count();
    assert_eq!(odd, 2, "once more with another version, and no further");
    assert_eq!(server.pings(), 2);
    assert_eq!(client.version(), Some(ApiVersion::NEWEST), "the others keep theirs");
}

#[tokio::test]
async fn concurrent_requests_share_one_negotiation() {
    let server = Server::start(|seen| {
        if seen.is_ping() {
            Answer::ping("13.0").after(Duration::from_millis(400))
        } else {
            Answer::json("{}")
        }
    })
    .await;
    let client = server.client();
    let all = (0..12).map(|_| {
        let session = session(&client);
        tokio::spawn(async move { session.get(&JOBS, &Query::all()).await.map(|_| ()) })
    });
    for task in all.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    assert_eq!((server.pings(), server.calls().len()), (1, 12));
}

#[tokio::test]
async fn concurrent_requests_share_a_failed_negotiation() {
    let server =
        Server::start(|_| Answer::error(500, "no").after(Duration::from_millis(400))).await;
    let client = server.client();
    let all = (0..12).map(|_| {
        let session = session(&client);
        tokio::spawn(async move { session.get(&JOBS, &Query::all()).await.map(|_| ()) })
    });
    for task in all.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap().unwrap_err().kind(), ErrorKind::ServerError);
    }
    assert_eq!(server.seen().len(), 1);
    session(&client).get(&JOBS, &Query::all()).await.unwrap_err();
    assert_eq!(server.seen().len(), 2, "a later one asks again");
}

#[tokio::test]
async fn dropped_negotiation_does_not_block_the_next() {
    let server = Server::start(|seen| {
        if seen.is_ping() {
            Answer::ping("13.0").after(Duration::from_secs(1))
        } else {
            Answer::json("{}")
        }
    })
    .await;
    let client = server.client();
    let dropped = session(&client);
    let wait = Duration::from_millis(400);
    tokio::time::timeout(wait, dropped.get(&JOBS, &Query::all())).await.unwrap_err();
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    assert_eq!(server.pings(), 2);
}

#[tokio::test]
async fn ping_returns_time_and_version_after_an_upgrade() {
    let server =
        Server::start(|seen| Answer::ping(if seen.number == 1 { "12.0" } else { "13.0" })).await;
    let client = server.client();
    let ping = client.ping().await.unwrap();
    assert_eq!(ping.server_time_ms(), 1_772_359_200_123);
    assert_eq!(ping.version, Some(ApiVersion::new(12, 0)));
    assert!(ping.round_trip < Duration::from_secs(5));
    assert_eq!(client.version(), Some(ApiVersion::new(12, 0)), "which saves a negotiation");
    client.ping().await.unwrap();
    assert_eq!(client.version(), Some(ApiVersion::new(13, 0)));
}

#[tokio::test]
async fn ping_without_a_plausible_time_is_an_error() {
    for body in ["", "soon", "<html>hello</html>", "-5", "0", "1772359200", "99999999999999999"] {
        let server = Server::start(move |_| Answer::new(200, "text/plain", body)).await;
        let error = server.client().ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Body, "{body}");
    }
}
