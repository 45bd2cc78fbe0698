//! Pagers: the end of a list, and lists without an end.

use nbu_otel_agent::netbackup::wire::jobs::{JOBS, JobRow};
use nbu_otel_agent::netbackup::{CursorPager, Error, ErrorKind, OffsetPager, Query, Resource};
use serde::Deserialize;

use crate::server::{Answer, Server, jobs, session};

static STORAGE_UNITS: Resource = Resource {
    name: "storage_units",
    path: "/storage/storage-units",
    permission: None,
    max_limit: 500,
};

/// A row of which only the number matters.
#[derive(Debug, Deserialize)]
struct StorageUnit {}

async fn drain(walk: &mut CursorPager) -> Result<Vec<i64>, Error> {
    let mut ids = Vec::new();
    while let Some(page) = walk.next_page::<JobRow<'_>>().await? {
        ids.extend(page.rows.iter().map(|row| row.job_id));
    }
    Ok(ids)
}

async fn drain_offsets(walk: &mut OffsetPager) -> Result<usize, Error> {
    let mut rows = 0;
    while let Some(page) = walk.next_page::<StorageUnit>().await? {
        rows += page.rows.len();
    }
    Ok(rows)
}

fn units(rows: usize, meta: &str) -> Answer {
    let row = r#"{"id":"s","attributes":{"name":"s"}}"#;
    Answer::json(format!(r#"{{"data":[{}],"meta":{meta}}}"#, vec![row; rows].join(",")))
}

#[tokio::test]
async fn cursor_pager_ends_if_next_is_absent_null_or_empty() {
    for end in ["{}", r#"{"pagination":{}}"#, r#"{"next":null}"#, r#"{"pagination":{"next":""}}"#] {
        let server = Server::api(move |seen| match seen.param("page[after]") {
            None => jobs([1, 2], r#"{"pagination":{"next":"a b&c=/é+%"}}"#),
            Some("a b&c=/é+%") => jobs([3], r#"{"next":77}"#),
            Some("77") => jobs([4], end),
            Some(other) => panic!("{other}"),
        })
        .await;
        let query = Query::filtered("state eq 'DONE' and x ge 1").sorted("lastUpdateTime");
        let mut walk = CursorPager::new(&server.session(), &JOBS, &query);
        assert_eq!(drain(&mut walk).await.unwrap(), [1, 2, 3, 4], "{end}");
        assert!(walk.is_done() && walk.position().is_none());
        assert!(walk.next_page::<JobRow<'_>>().await.unwrap().is_none());
        let calls = server.calls();
        assert_eq!(calls.len(), 3);
        for call in &calls {
            assert_eq!(call.param("page[limit]"), Some("100"));
            assert_eq!(call.param("filter"), Some("state eq 'DONE' and x ge 1"));
            assert_eq!(call.param("sort"), Some("lastUpdateTime"));
            assert!(!call.target.contains(['[', ' ', '+', '\'']), "{}", call.target);
        }
    }
}

#[tokio::test]
async fn repeated_cursor_is_an_error() {
    let server = Server::api(|seen| match seen.param("page[after]") {
        None | Some("c") => jobs([1], r#"{"next":"a"}"#),
        Some("a") => jobs([2], r#"{"next":"b"}"#),
        Some(_) => jobs([3], r#"{"next":"c"}"#),
    })
    .await;
    let mut walk = CursorPager::new(&server.session(), &JOBS, &Query::all());
    let error = drain(&mut walk).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Paging);
    assert!(error.to_string().contains("repeated a cursor"), "{error}");
    assert_eq!(server.calls().len(), 4);
}

#[tokio::test]
async fn endless_list_is_an_error() {
    let server = Server::api(|seen| jobs([1], &format!(r#"{{"next":"{}"}}"#, seen.number))).await;
    let mut walk = CursorPager::new(&server.session(), &JOBS, &Query::all()).max_pages(7);
    let error = drain(&mut walk).await.unwrap_err();
    assert_eq!((error.kind(), walk.pages()), (ErrorKind::Paging, 7));
    assert_eq!(server.calls().len(), 7);
}

#[tokio::test]
async fn empty_pages_with_a_cursor_are_an_error_if_many() {
    let server = Server::api(|seen| match seen.param("page[after]") {
        None => jobs([], r#"{"next":"a"}"#),
        Some("a") => jobs([1], "{}"),
        Some(_) => unreachable!(),
    })
    .await;
    let mut walk = CursorPager::new(&server.session(), &JOBS, &Query::all());
    assert_eq!(drain(&mut walk).await.unwrap(), [1]);

    let server = Server::api(|seen| jobs([], &format!(r#"{{"next":"{}"}}"#, seen.number))).await;
    let mut walk = CursorPager::new(&server.session(), &JOBS, &Query::all());
    let error = drain(&mut walk).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Paging);
    assert!(error.to_string().contains("empty pages"), "{error}");
    assert!(server.calls().len() < 200, "{}", server.calls().len());
}

#[tokio::test]
async fn page_without_pagination_is_the_end_or_an_error() {
    let server = Server::api(|_| jobs(0..99, "null")).await;
    let mut walk = CursorPager::new(&server.session(), &JOBS, &Query::all());
    assert_eq!(drain(&mut walk).await.unwrap().len(), 99);

    let server = Server::api(|_| jobs(0..100, "null")).await;
    let mut walk = CursorPager::new(&server.session(), &JOBS, &Query::all());
    assert_eq!(drain(&mut walk).await.unwrap_err().kind(), ErrorKind::Paging);
}

#[tokio::test]
async fn failed_pager_resumes_at_its_position() {
    let server = Server::api(|seen| match seen.param("page[after]") {
        None => jobs([1], r#"{"next":"a"}"#),
        Some("a") if seen.number <= 3 => Answer::error(500, "not now"),
        Some("a") => jobs([2], r#"{"next":"b"}"#),
        Some(_) => jobs([3], "{}"),
    })
    .await;
    let client = server.client();
    let mut walk = CursorPager::new(&session(&client), &JOBS, &Query::all());
    assert_eq!(drain(&mut walk).await.unwrap_err().kind(), ErrorKind::ServerError);
    let cursor = walk.position().cloned().unwrap();
    let mut resumed = CursorPager::new(&session(&client), &JOBS, &Query::all()).resume(cursor);
    assert_eq!(drain(&mut resumed).await.unwrap(), [2, 3]);
    assert_eq!(drain(&mut walk).await.unwrap(), [2, 3], "the walk itself goes on as well");
}

#[tokio::test]
async fn bad_record_loses_neither_page_nor_list() {
    let server = Server::api(|seen| match seen.param("page[after]") {
        None => Answer::json(
            r#"{"data":[{"attributes":null},{"attributes":{"jobId":1,"state":{"x":1}}},7],
                "meta":{"pagination":{"next":"a"}}}"#,
        ),
        Some(_) => jobs([2], "{}"),
    })
    .await;
    let mut walk = CursorPager::new(&server.session(), &JOBS, &Query::all());
    let page = walk.next_page::<JobRow<'_>>().await.unwrap().unwrap();
    assert_eq!((page.rows.len(), page.unreadable), (1, 2));
    assert_eq!((page.rows[0].job_id, page.rows[0].state.is_none()), (1, true));
    assert_eq!(drain(&mut walk).await.unwrap(), [2]);
}

#[tokio::test]
async fn offset_pager_follows_next_or_count() {
    // By `next`.
    let server = Server::api(|seen| match seen.param("page[offset]").unwrap() {
        "0" => units(500, r#"{"pagination":{"next":500}}"#),
        _ => units(3, r#"{"pagination":{"prev":0}}"#),
    })
    .await;
    let mut walk = OffsetPager::new(&server.session(), &STORAGE_UNITS, &Query::all());
    assert_eq!(drain_offsets(&mut walk).await.unwrap(), 503);
    assert_eq!(server.calls()[0].param("page[limit]"), Some("500"));
    // By `count`, directly under `meta`.
    let server = Server::api(|_| units(2, r#"{"count":6}"#)).await;
    let mut walk = OffsetPager::new(&server.session(), &STORAGE_UNITS, &Query::all().limited(2));
    assert_eq!(drain_offsets(&mut walk).await.unwrap(), 6);
    assert_eq!(server.calls()[2].param("page[offset]"), Some("4"));
    // By `count`, with pages that are shorter than requested.
    let server = Server::api(|_| units(1, r#"{"count":3}"#)).await;
    let mut walk = OffsetPager::new(&server.session(), &STORAGE_UNITS, &Query::all().limited(2));
    assert_eq!(drain_offsets(&mut walk).await.unwrap(), 3);
}

/// Returns at most two of seven numbered units, from the requested offset.
fn numbered(seen: &crate::server::Seen, most: usize) -> Answer {
    let offset: usize = seen.param("page[offset]").unwrap().parse().unwrap();
    let rows: Vec<_> = (offset..7.min(offset + most))
        .map(|id| format!(r#"{{"id":"{id}","attributes":{{"name":"s{id}"}}}}"#))
        .collect();
    Answer::json(format!(r#"{{"data":[{}]}}"#, rows.join(",")))
}

#[tokio::test]
async fn offset_list_without_pagination_ends_at_an_empty_page() {
    // The server's limit may be smaller than the requested one.
    for most in [1, 2, 3, 5, 7, 100] {
        let server = Server::api(move |seen| numbered(seen, most)).await;
        let mut walk =
            OffsetPager::new(&server.session(), &STORAGE_UNITS, &Query::all().limited(5));
        assert_eq!(drain_offsets(&mut walk).await.unwrap(), 7, "{most} a page");
        assert!(server.calls().len() <= 7 / most + 2, "{}", server.calls().len());
    }
    // Beyond the end there may be no page at all.
    for status in [400, 404] {
        let server = Server::api(move |seen| match seen.param("page[offset]") {
            Some("0") => numbered(seen, 7),
            _ => Answer::error(status, "no such page"),
        })
        .await;
        let mut walk = OffsetPager::new(&server.session(), &STORAGE_UNITS, &Query::all());
        assert_eq!(drain_offsets(&mut walk).await.unwrap(), 7);
    }
    let server = Server::api(|seen| match seen.param("page[offset]") {
        Some("0") => numbered(seen, 3),
        _ => Answer::error(500, "not now"),
    })
    .await;
    let mut walk = OffsetPager::new(&server.session(), &STORAGE_UNITS, &Query::all());
    assert_eq!(drain_offsets(&mut walk).await.unwrap_err().kind(), ErrorKind::ServerError);
}

#[tokio::test]
async fn list_that_does_not_page_is_read_once() {
    for meta in ["null", "{}"] {
        let server = Server::api(move |_| units(3, meta)).await;
        let mut walk =
            OffsetPager::new(&server.session(), &STORAGE_UNITS, &Query::all().limited(5));
        assert_eq!(drain_offsets(&mut walk).await.unwrap(), 3);
        assert!(server.calls().len() <= 2);
        // A full page that repeats is not a list.
        let mut walk =
            OffsetPager::new(&server.session(), &STORAGE_UNITS, &Query::all().limited(3));
        let error = drain_offsets(&mut walk).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Paging, "{error}");
        assert!(server.calls().len() <= 6);
    }
}

#[tokio::test]
async fn cursor_list_without_meta_continues_from_its_last_record() {
    let server = Server::api(|seen| {
        let first = match seen.param("page[after]") {
            None => 0,
            Some(cursor) => cursor.strip_prefix("c-").unwrap().parse::<i64>().unwrap() + 1,
        };
        let rows: Vec<_> = (first..7.min(first + 3))
            .map(|id| {
                format!(
                    r#"{{"meta":{{"page":{{"cursor":"c-{id}"}}}},"attributes":{{"jobId":{id}}}}}"#
                )
            })
            .collect();
        Answer::json(format!(r#"{{"data":[{}]}}"#, rows.join(",")))
    })
    .await;
    let mut walk = CursorPager::new(&server.session(), &JOBS, &Query::all());
    assert_eq!(drain(&mut walk).await.unwrap(), (0..7).collect::<Vec<_>>());
    assert_eq!(server.calls().len(), 4);
}

#[tokio::test]
async fn offset_that_does_not_advance_is_an_error() {
    let server = Server::api(|_| units(2, r#"{"pagination":{"next":2}}"#)).await;
    let mut walk = OffsetPager::new(&server.session(), &STORAGE_UNITS, &Query::all().limited(2));
    for _ in 0..2 {
        let error = drain_offsets(&mut walk).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Paging);
        assert_eq!(server.calls().last().unwrap().param("page[offset]"), Some("2"));
    }
    let server = Server::api(|seen| {
        units(2, &format!(r#"{{"pagination":{{"next":{}}}}}"#, seen.number * 2))
    })
    .await;
    let mut walk =
        OffsetPager::new(&server.session(), &STORAGE_UNITS, &Query::all().limited(2)).max_pages(5);
    assert_eq!(drain_offsets(&mut walk).await.unwrap_err().kind(), ErrorKind::Paging);
    assert_eq!(server.calls().len(), 5);
}

#[tokio::test]
async fn total_of_a_list_is_known_from_its_first_page() {
    let server = Server::api(|_| units(1, r#"{"pagination":{"count":4711,"next":1}}"#)).await;
    let mut walk = OffsetPager::new(&server.session(), &STORAGE_UNITS, &Query::all().limited(1));
    let page = walk.next_page::<StorageUnit>().await.unwrap().unwrap();
    assert_eq!(page.total, Some(4711));
}

#[test]
fn pager_runs_in_a_spawned_task() {
    fn assert_send<T: Send>(_: T) {}
    fn check(mut walk: CursorPager) {
        assert_send(async move { drain(&mut walk).await });
    }
    let _ = check;
}
