//! The key: requests that carry it, and places that never show it.

use std::fmt::Write as _;
use std::time::Duration;

use nbu_otel_agent::netbackup::wire::job_count::JOB_COUNT;
use nbu_otel_agent::netbackup::wire::jobs::{JOBS, JobRow};
use nbu_otel_agent::netbackup::{CursorPager, Error, ErrorKind, Query};
use secrecy::SecretString;

use crate::server::{Answer, KEY, Server, builder, jobs, session};

#[tokio::test]
async fn redirect_is_not_followed() {
    let elsewhere = Server::api(|_| Answer::json("{}")).await;
    let target = format!("http://{}/netbackup/admin/jobs?key={KEY}", elsewhere.address);
    for status in [301, 302, 303, 307, 308] {
        let target = target.clone();
        let server =
            Server::api(move |_| Answer::new(status, "text/html", "").with("location", &*target))
                .await;
        let error = server.session().get(&JOBS, &Query::all()).await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::Redirect, Some(status)));
        let hint = format!("the redirect to http://{} is not followed", elsewhere.address);
        assert!(error.to_string().contains(&hint), "{error}");
        assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
    }
    assert_eq!(elsewhere.seen().len(), 0);
}

fn assert_secret(error: &Error) {
    let mut shown = format!("{error}\n{error:?}\n{error:#?}\n{:?}", error.hint());
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let _ = write!(shown, "{inner} {inner:?}");
        source = inner.source();
    }
    assert!(!shown.contains(KEY), "{shown}");
    assert!(!shown.contains("a-client"), "a filter is shown: {shown}");
}

#[tokio::test]
async fn errors_show_neither_key_nor_filter() {
    let echo = format!("the token {KEY} is no good");
    let answers = [
        Answer::error(401, &echo),
        Answer::error(400, &echo),
        Answer::new(500, "text/plain", &*echo),
        Answer::new(200, "text/html", &*echo),
        Answer::new(200, "application/json", &*echo),
        Answer::new(200, "application/json", format!(r#"{{"data":"{KEY}"}}"#)),
        Answer::new(200, &format!("text/{KEY}"), "x"),
        Answer::new(302, "text/html", &*echo).with("location", format!("/{KEY}")),
    ];
    for answer in answers {
        let server = Server::api(move |_| answer.clone()).await;
        let query = Query::filtered("clientName eq 'a-client'");
        let mut walk = CursorPager::new(&server.session(), &JOBS, &query);
        assert_secret(&walk.next_page::<JobRow<'_>>().await.unwrap_err());
        assert!(!format!("{walk:?}").contains("a-client"));
    }
    let client = builder(crate::server::config("http://127.0.0.1:1/x")).build().unwrap();
    assert_secret(&session(&client).get(&JOBS, &Query::filtered("a-client")).await.unwrap_err());
    assert!(!format!("{client:?} {:#?}", session(&client)).contains(KEY));
}

#[tokio::test]
async fn status_401_names_the_permission() {
    let server = Server::api(|_| Answer::error(401, "The supplied token is invalid")).await;
    let error = server.session().get(&JOBS, &Query::all()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "site \"paris\" (http://{}/netbackup), /admin/jobs: 401 Unauthorized (The supplied \
             token is invalid, errorCode 7): check apiKey: it may be expired or deleted, or lack the \
             permission |MANAGE|JOBS| (VIEW)",
            server.address
        )
    );
}

#[tokio::test]
async fn rejected_key_is_not_sent_during_its_back_off() {
    let server = Server::api(|_| Answer::json("{}")).await;
    let client = server.client();
    assert_eq!(client.key_refused_until(), None);
    client.refuse_key(Duration::from_secs(600));
    assert!(client.key_refused_until().is_some());
    let error = session(&client).get(&JOBS, &Query::all()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyRefused);
    assert!(error.to_string().contains("check apiKey"), "{error}");
    assert_eq!(server.calls().len(), 0, "the key was presented");
    client.ping().await.unwrap();
    client.refuse_key(Duration::from_millis(1));
    tokio::time::sleep(Duration::from_millis(20)).await;
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    assert_eq!((client.key_refused_until(), server.calls().len()), (None, 1));
}

#[tokio::test]
async fn key_with_invalid_characters_is_an_error_that_hides_it() {
    for (key, problem) in [("line\nbreak-key", "characters"), ("", "empty"), (" \n", "empty")] {
        let mut config = crate::server::config("http://127.0.0.1:1/x");
        config.api_key = SecretString::from(key);
        let error = builder(config).build().unwrap_err();
        assert_eq!((error.setting, error.site.as_str()), ("apiKey", "paris"));
        assert!(error.to_string().contains(problem), "{error}");
        assert!(!format!("{error:?}").contains("break-key"));
    }
}

#[tokio::test]
async fn job_count_request_carries_the_media_type_of_the_version() {
    let server = Server::api(|seen| {
        if seen.method == "POST" {
            Answer::json(r#"{"data":{"type":"jobCount","id":"1","attributes":{"count":42}}}"#)
        } else {
            jobs([], "{}")
        }
    })
    .await;
    assert_eq!(server.session().job_count("state eq 'ACTIVE'").await.unwrap(), 42);
    let call = &server.calls()[0];
    assert!(call.path.ends_with(JOB_COUNT.path));
    assert_eq!(call.header("content-type"), Some("application/vnd.netbackup+json;version=14.0"));
    assert!(call.body.contains("state eq 'ACTIVE'"), "{}", call.body);
}
