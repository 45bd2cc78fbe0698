//! Lists as servers send them, good and bad.

use proptest::prelude::*;

use super::*;
use crate::netbackup::wire::jobs::JobRow;

fn page(body: &str) -> (Vec<i64>, usize, Option<Pagination>) {
    let page = read_page::<JobRow<'_>>(body.as_bytes()).unwrap();
    (page.rows.iter().map(|row| row.job_id).collect(), page.unreadable, page.pagination)
}

#[test]
fn list_with_bad_records_keeps_the_others() {
    let body = r#"{"data":[
        {"id":1,"attributes":{"jobId":1}}, 7, null, "x", [], {"id":"2","attributes":null},
        {"id":3}, {"attributes":{"jobId":"x"}}, {"attributes":{"state":"DONE"}},
        {"attributes":{"jobId":4,"jobId":5}}, {"attributes":{"jobId":6,"clientName":"\ud800"}},
        {"id":[],"attributes":{"jobId":"7","state":{},"unknown":[{"]":"}\""}]}}
    ],"meta":{"pagination":{"next":"c","limit":100}}}"#;
    let (rows, unreadable, pagination) = page(body);
    assert_eq!((rows, unreadable), (vec![1, 7], 10));
    assert_eq!(pagination.unwrap().next.as_deref(), Some("c"));
}

#[test]
fn list_with_invalid_utf8_loses_that_record_only() {
    let mut body =
        br#"{"data":[{"attributes":{"jobId":1,"clientName":"X"}},{"attributes":{"jobId":2}}]}"#
            .to_vec();
    let x = body.iter().position(|byte| *byte == b'X').unwrap();
    body[x] = 0xff;
    let page = read_page::<JobRow<'_>>(&body).unwrap();
    assert_eq!((page.rows.len(), page.rows[0].job_id, page.unreadable), (1, 2, 1));
}

#[test]
fn pagination_is_read_from_either_place_and_type() {
    let next = |body: &str| page(body).2.map(|pagination| pagination.next);
    for (body, expected) in [
        (r#"{"data":[],"meta":{"pagination":{"next":10}}}"#, Some(Some("10"))),
        (r#"{"data":[],"meta":{"next":"a"}}"#, Some(Some("a"))),
        (r#"{"data":[],"meta":{"pagination":{"next":null}}}"#, Some(None)),
        (r#"{"data":[],"meta":{"pagination":7}}"#, None),
        (r#"{"data":[],"meta":[]}"#, None),
        (r#"{"meta":{"pagination":{"next":"b"}},"data":[1]}"#, Some(Some("b"))),
    ] {
        assert_eq!(next(body), expected.map(|next| next.map(str::to_owned)), "{body}");
    }
}

#[test]
fn answer_without_a_list_is_an_error() {
    for (body, said) in [
        ("{}", "`data` is missing"),
        (r#"{"data":null}"#, "`data` is not a list"),
        (r#"{"data":{}}"#, "`data` is not a list"),
        (r#"{"data":"none"}"#, "`data` is not a list"),
        (r#"{"data":7,"meta":{}}"#, "`data` is not a list"),
        (r#"{"errorCode":8,"errorMessage":"no"}"#, "the answer is an error (no, errorCode 8)"),
        (r#"{"errorCode":8,"data":[]}"#, "the answer is an error (errorCode 8)"),
        (r#"{"errorCode":"8","data":[7]}"#, "the answer is an error (errorCode 8)"),
        (r#"{"errorMessage":"no","data":[]}"#, "the answer is an error (no)"),
        (r#"{"errors":[{"title":"no"}]}"#, "`data` is missing"),
        ("[]", "not a JSON object"),
        (r#"[{"attributes":{"jobId":1}}]"#, "not a JSON object"),
        ("7", "not a JSON object"),
        ("null", "not a JSON object"),
    ] {
        let error = read_page::<JobRow<'_>>(body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), said, "{body}");
    }
    for body in ["", "{", r#"{"data":[}"#, "<html>", r#"{"data":[]} x"#] {
        assert!(read_page::<JobRow<'_>>(body.as_bytes()).is_err(), "{body}");
    }
    let fine = r#"{"data":[],"errorCode":0,"errorMessage":""}"#;
    assert_eq!(read_page::<JobRow<'_>>(fine.as_bytes()).unwrap().rows.len(), 0);
}

#[test]
fn bad_record_is_named_by_id_and_field() {
    let body = r#"{"data":[{"id":5,"attributes":{"jobId":[]}},{"id":"6"},null,null]}"#;
    let bad = decode_list::<Record<'_, JobRow<'_>>>(body.as_bytes()).unwrap().bad;
    let said: Vec<_> = bad.iter().map(|bad| (bad.id.as_str(), bad.problem.as_str())).collect();
    assert_eq!(said[0], ("5", "attributes.jobId: not an integer at line 1 column 33"));
    assert!(said[1].0 == "6" && said[1].1.contains("missing field `attributes`"), "{said:?}");
    let mut identities: Vec<_> = bad.iter().map(|bad| bad.identity).collect();
    identities.dedup();
    assert_eq!(identities.len(), 4, "two that are alike are two");
    let again = decode_list::<Record<'_, JobRow<'_>>>(body.as_bytes()).unwrap().bad;
    assert_eq!(again, bad, "and the same ones when they come again");
}

#[test]
fn list_with_deeply_nested_record_loses_that_record_only() {
    let deep = "[".repeat(50_000) + &"]".repeat(50_000);
    let body = format!(
        r#"{{"data":[{{"attributes":{{"jobId":1,"x":{deep}}}}},{deep},
        {{"attributes":{{"jobId":2,"state":{deep}}}}}]}}"#
    );
    assert_eq!((page(&body).0, page(&body).1), (vec![1, 2], 1));
}

proptest! {
    #[test]
    fn list_with_any_byte_replaced_never_panics(at in 0..200_usize, byte in any::<u8>()) {
        let body = r#"{"data":[{"id":1,"attributes":{"jobId":1,"state":"DONE","try":1}},
            {"id":"2","attributes":{"jobId":2,"endTime":"2018-06-25T19:00:38.407Z"}}],
            "meta":{"pagination":{"next":"c","limit":100}},"links":{}}"#;
        let mut body = body.as_bytes().to_vec();
        body[at] = byte;
        let _ = repair(&body);
        if let Ok(page) = read_page::<JobRow<'_>>(&body) {
            prop_assert!(page.rows.len() + page.unreadable <= 3);
        }
    }
}
