//! Bodies that are not those of the API.

use std::io::Write as _;

use nbu_otel_agent::netbackup::wire::jobs::{JOBS, JobRow};
use nbu_otel_agent::netbackup::{CursorPager, Error, ErrorKind, Query, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::server::{Answer, KEY, Server, builder, config, jobs, session};

async fn read(session: &Session) -> Result<usize, Error> {
    let mut walk = CursorPager::new(session, &JOBS, &Query::all());
    Ok(walk.next_page::<JobRow<'_>>().await?.map_or(0, |page| page.rows.len()))
}

#[tokio::test]
async fn body_of_another_service_is_an_error_with_a_preview() {
    let json = "application/json";
    for (answer, said) in [
        (Answer::new(200, "text/html", "<html>\n<b>PBX\x07</b>"), "HTML"),
        (Answer::new(200, json, "<html>\n<b>PBX\x07</b>"), "HTML"),
        (Answer::new(200, json, " \n"), "the body is empty"),
        (Answer::new(204, json, ""), "the body is empty"),
        (Answer::new(200, "text/plain", "PBX hello"), "text/plain, not JSON"),
        (Answer::new(200, json, "PBX nonsense"), "cannot decode the body"),
        (Answer::new(200, json, r#"{"data":["PBX "#), "cannot decode the body"),
        (Answer::new(200, json, r#"{"data":{"PBX":1}}"#), "not a list"),
        (Answer::new(200, json, r#"["PBX"]"#), "not a JSON object"),
        (Answer::new(200, json, r#"{"PBX":1}"#), "`data` is missing"),
        (Answer::new(200, json, r#"{"data":null,"meta":"PBX"}"#), "`data` is not a list"),
        (Answer::new(200, json, r#"{"errorCode":8,"errorMessage":"PBX"}"#), "errorCode 8"),
        (
            Answer::new(200, json, r#"{"errorCode":8,"errorMessage":"PBX","data":[]}"#),
            "errorCode 8",
        ),
        (Answer::new(200, json, b"{\"data\":PBX\xff\xfe}".to_vec()), "cannot decode the body"),
    ] {
        let preview = answer.body.windows(3).any(|bytes| bytes == b"PBX");
        let server = Server::api(move |_| answer.clone()).await;
        let error = read(&server.session()).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Body, "{text}");
        assert!(text.contains(said), "{said}: {text}");
        assert_eq!(text.contains("PBX"), preview, "{text}");
        assert!(!text.contains(|c: char| c.is_control()), "{text}");
        assert_eq!(server.calls().len(), 1, "nothing that a retry can mend: {text}");
    }
}

#[tokio::test]
async fn json_without_a_content_type_is_read() {
    let server = Server::api(|_| {
        let mut answer = jobs([1], "{}");
        answer.headers.clear();
        answer
    })
    .await;
    assert_eq!(read(&server.session()).await.unwrap(), 1);
}

#[tokio::test]
async fn body_preview_is_short_and_hides_the_key() {
    let body = format!("{KEY} {}", "x".repeat(10_000));
    let server = Server::api(move |_| Answer::new(200, "application/json", body.clone())).await;
    let text = read(&server.session()).await.unwrap_err().to_string();
    assert!(text.contains("[redacted] xxx") && !text.contains(KEY), "{text}");
    assert!(text.len() < 500, "{}", text.len());
}

#[tokio::test]
async fn body_above_the_limit_after_decompression_is_an_error() {
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    zipped.write_all(&vec![b' '; 4 << 20]).unwrap();
    let zipped = zipped.finish().unwrap();
    assert!(zipped.len() < 10_000);
    let server =
        Server::api(move |_| Answer::json(zipped.clone()).with("content-encoding", "gzip")).await;
    let client = builder(server.config()).max_body(1 << 20).build().unwrap();
    let error = read(&session(&client)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Body);
    assert!(error.to_string().contains("larger than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn gzip_body_is_decompressed_and_garbled_gzip_is_an_error() {
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(&jobs([1, 2, 3], "{}").body).unwrap();
    let zipped = zipped.finish().unwrap();
    let server = Server::api(move |seen| {
        let mut bytes = zipped.clone();
        if seen.param("sort").is_some() {
            bytes[2] ^= 0xff;
        }
        Answer::json(bytes).with("content-encoding", "gzip")
    })
    .await;
    assert_eq!(read(&server.session()).await.unwrap(), 3);
    let mut walk = CursorPager::new(&server.session(), &JOBS, &Query::all().sorted("jobId"));
    let error = walk.next_page::<JobRow<'_>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Body, "{error}");
    assert!(error.to_string().contains("does not match its Content-Encoding"), "{error}");
}

/// Answers each connection once and closes it, the first `cut` times in the middle of the body.
async fn cutting_server(cut: usize) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let body = r#"{"data":[{"id":1,"attributes":{"jobId":1}}]}"#;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-netbackup-api-version: \
                 14.0\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let sent = if number < cut { &body[..20] } else { body };
            let _ = socket.write_all(format!("{head}{sent}").as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn truncated_body_is_retried() {
    let fixed_version = |address| {
        let mut config = config(&format!("http://{address}/netbackup"));
        config.api_version = Some(nbu_otel_agent::netbackup::ApiVersion::NEWEST);
        builder(config).build().unwrap()
    };
    let client = fixed_version(cutting_server(2).await);
    assert_eq!(read(&session(&client)).await.unwrap(), 1);
    assert_eq!(client.stats().retries, 2);

    let client = fixed_version(cutting_server(usize::MAX).await);
    let error = read(&session(&client)).await.unwrap_err();
    assert_eq!((error.kind(), client.stats().retries), (ErrorKind::Body, 3));
    assert!(error.to_string().contains("cut off"), "{error}");
}

#[tokio::test]
async fn server_message_is_shown_on_one_line() {
    let server = Server::api(|_| {
        Answer::new(
            400,
            "application/json",
            r#"{"errorCode":9401,"errorMessage":"The OData\nfilter \u001b[31mis invalid","x":[]}"#,
        )
    })
    .await;
    let error = read(&server.session()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::BadRequest, Some(400)));
    assert!(
        error
            .to_string()
            .contains("400 Bad Request (The OData filter [31mis invalid, errorCode 9401)"),
        "{error}"
    );
}

#[tokio::test]
async fn error_message_with_key_and_terminal_escapes_shows_neither() {
    let split = KEY.replace('-', "-\u{1b}[31m\0");
    for form in [KEY.to_owned(), format!("{KEY} {KEY}"), KEY.replace('-', "%2d"), split] {
        for padding in (0..3).chain(270..305) {
            let message = format!("{}{form}\u{1b}[2J\u{202e} and more", "x".repeat(padding));
            for answer in [Answer::error(400, &message), Answer::new(400, "text/plain", message)] {
                let server = Server::api(move |_| answer.clone()).await;
                let text = read(&server.session()).await.unwrap_err().to_string();
                for part in ["k3y-", "the-", "tests-", "shown"] {
                    assert!(!text.contains(part), "{part} in {text:?}");
                }
                assert!(!text.contains(char::is_control) && !text.contains('\u{202e}'), "{text:?}");
            }
        }
    }
}

#[tokio::test]
async fn names_with_invalid_text_lose_neither_record_nor_page() {
    let names: [&[u8]; 5] =
        [b"a\xff", br"a\ud800", b"a\x01", br"a\x", "aé\\ud83d\\ude00".as_bytes()];
    let expected = ["a\u{fffd}", "a\u{fffd}", "a\u{fffd}", "a\u{fffd}x", "aé\u{1f600}"];
    let mut body = br#"{"data":["#.to_vec();
    for (id, name) in (1..).zip(names) {
        let before = if id > 1 { "," } else { "" };
        body.extend(format!(r#"{before}{{"attributes":{{"jobId":{id},"clientName":""#).bytes());
        body.extend(name);
        body.extend(br#""}}"#);
    }
    body.extend(br#"],"meta":{"pagination":{}}}"#);
    let server = Server::api(move |_| Answer::json(body.clone())).await;
    let mut walk = CursorPager::new(&server.session(), &JOBS, &Query::all());
    let page = walk.next_page::<JobRow<'_>>().await.unwrap().unwrap();
    let read: Vec<_> = page.rows.iter().map(|row| row.client_name.as_deref().unwrap()).collect();
    assert_eq!((read, page.unreadable), (expected.to_vec(), 0));
}

#[tokio::test]
async fn bad_record_listed_twice_counts_once() {
    let server = Server::api(|_| {
        Answer::json(
            r#"{"data":[{"id":"7","attributes":{"jobId":{}}},"x","x"],"meta":{"next":""}}"#,
        )
    })
    .await;
    let client = server.client();
    for _ in 0..3 {
        assert_eq!(read(&session(&client)).await.unwrap(), 0);
    }
    assert_eq!(client.unreadable(&JOBS), 3);
}
