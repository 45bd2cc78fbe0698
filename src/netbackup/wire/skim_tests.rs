//! Pages read the fast way, compared with the same pages read by serde_json.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::netbackup::wire::jobs::JobRow;

/// Two records with another order of keys, escapes, every kind of value, and white space.
const PAGE: &str = r#"{"data":[{"links":{"self":{"href":"/admin/jobs/7"}},"id":"7","attributes":{
 "jobId":7,"parentJobId":0,"jobType":"BACKUP","policyName":"Ü","clientName":"a\u0041\\b","x":"C:\\y",
 "kilobytesTransferred":1.2e9,"numberOfFiles":"12","dedupRatio":97.5,"frozen":false,"y":[1,{"]":"}"}],
 "state":"DONE","endTime":"2018-06-25T19:00:38.407Z","try":2,"status":-1,"z":-0.5E+3}},
 {"type" : "job" , "attributes" : {"state":null,"endTime":1529953238407,"w":"}","jobId":12345678901234567890,
 "jobId2":{},"childCount":true,"jobQueueReason":[1],"percentComplete":{"a":0}},"id":8},{"id":9,
 "attributes":{"jobId":9,"parentJobId":1,"clientName":"b"}}],"links":{"next":{"href":"x"}},
 "meta":{"pagination":{"next":"c","count":3,"limit":100}},"errorCode":0,"errorMessage":null}"#;

type Rows<'a, A> = (Vec<Record<'a, A>>, Option<i64>, Option<String>, String);

fn parts<A>(envelope: Envelope<Record<'_, A>>) -> Rows<'_, A> {
    let Envelope { data, meta, error_code, error_message } = envelope;
    (data, error_code, error_message, format!("{meta:?}"))
}

fn by_serde<'a, A: Deserialize<'a>>(body: &'a [u8]) -> Option<Rows<'a, A>> {
    let is_object = body.trim_ascii_start().first() == Some(&b'{');
    serde_json::from_slice(body).ok().filter(|_| is_object).map(parts)
}

/// Checks that a page that is read is read as serde_json reads it. Returns whether it is read.
fn is_read_alike(body: &[u8]) -> bool {
    let Some(read) = page::<JobRow<'_>>(body).map(parts) else { return false };
    let text = String::from_utf8_lossy(body);
    assert_eq!(Some(read), by_serde(body), "{text}");
    true
}

#[test]
fn page_with_every_kind_of_value_is_read() {
    let readable = PAGE.replace("12345678901234567890", "8");
    assert!(is_read_alike(readable.as_bytes()));
    assert!(!is_read_alike(PAGE.as_bytes()), "an id beyond 64 bits is a bad record");
    assert!(is_read_alike(br#" {"data" : [ ] } "#) && is_read_alike(br#"{"data":[]}"#));
    assert!(!is_read_alike(&[PAGE.as_bytes(), b"\xff"].concat()));
}

#[test]
fn values_and_errors_are_those_of_serde_json() {
    for value in [
        "0",
        "-0",
        "00",
        "01",
        "1.",
        ".5",
        "1e",
        "1e5",
        "-",
        "-5",
        "+1",
        "1.5e-3x",
        "nul",
        "null",
        "true",
        "tru",
        "999999999999999999",
        "1000000000000000000",
        "9223372036854775808",
        "1e400",
        "\"a",
        "\"\t\"",
        "\"\\ud800\"",
        "\"\\q\"",
        "\"\"",
        "[",
        "[1,]",
        "{}",
        "{\"a\":}",
        "",
        "1 2",
        "\"1\"",
        "\"1.0\"",
        "NaN",
        "[[[[1]]]]",
        "0x1",
    ] {
        for key in ["jobId", "try", "dedupRatio", "clientName", "endTime", "unread"] {
            let body = format!(r#"{{"data":[{{"attributes":{{"jobId":5,"{key}":{value}}}}}]}}"#);
            let other = body.replace(r#""jobId":5,"#, "");
            for body in [body, other] {
                let is_valid = by_serde::<JobRow<'_>>(body.as_bytes()).is_some();
                assert_eq!(is_read_alike(body.as_bytes()), is_valid, "{body}");
            }
        }
    }
}

#[test]
fn anything_unusual_is_left_to_serde_json() {
    for body in [
        r#"{"data":[{"attributes":[1]}]}"#,
        r#"{"data":[{"attributes":null}]}"#,
        r#"{"data":[{"id":1}]}"#,
        r#"{"data":[{"attributes":{"jobId":1},"attributes":{"jobId":1}}]}"#,
        r#"{"data":[{"attributes":{"jobId":1,"jobId":1}}]}"#,
        r#"{"data":[],"data":[]}"#,
        r#"{"data":[]} x"#,
        r#"{"data":[],}"#,
        r#"{"data":[7]}"#,
        r#"{"data":null}"#,
        r#"{"data":[{"attributes":{"jobId":1}}"#,
        "[[]]",
        "",
        "{}",
    ] {
        assert!(page::<JobRow<'_>>(body.as_bytes()).is_none(), "{body}");
    }
    for body in [r#"{"data":[{"attributes":[1]}]}"#, r#"{"data":[{"attributes":"x"}]}"#] {
        assert!(page::<IgnoredAny>(body.as_bytes()).is_none(), "{body}");
    }
    let ids = page::<IgnoredAny>(PAGE.as_bytes()).unwrap().data;
    assert_eq!(ids.iter().map(|row| row.id.to_string()).collect::<Vec<_>>(), ["7", "8", "9"]);
}

#[test]
fn plain_part_of_a_string_ends_where_it_must() {
    for special in 0..=255_u8 {
        for at in 0..20 {
            let mut text = [0xc3_u8; 20];
            text[at] = special;
            let ends = special < b' ' || special == b'"' || special == b'\\';
            assert_eq!(plain_length(&text), if ends { at } else { 20 }, "{special} {at}");
        }
    }
}

proptest! {
    #[test]
    fn changed_page_is_never_read_differently(
        changes in proptest::collection::vec(
            (0..PAGE.len(), prop_oneof![any::<u8>(), proptest::sample::select(&b"\"\\{}[],:0-.e nut\x01"[..])]), 1..3),
    ) {
        let mut body = PAGE.replace("12345678901234567890", "8                   ").into_bytes();
        for (at, byte) in changes {
            body[at] = byte;
        }
        is_read_alike(&body);
    }

    #[test]
    fn removed_part_is_never_read_differently(from in 0..PAGE.len(), length in 1..40_usize) {
        let mut body = PAGE.replace("12345678901234567890", "8").into_bytes();
        body.drain(from.min(body.len())..(from + length).min(body.len()));
        is_read_alike(&body);
    }
}
