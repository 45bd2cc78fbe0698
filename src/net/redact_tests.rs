//! Secrets in all the forms in which they may come back.

use proptest::prelude::*;

use super::*;

const KEY: &str = "K3y-that/is+secret%&\"x";

fn redactor() -> Redactor {
    Redactor::default().with_secret(&SecretString::from(KEY))
}

fn header(value: &str) -> Redactor {
    Redactor::default().with_header(&SecretString::from(value))
}

#[test]
fn secret_is_replaced_in_every_form() {
    for form in [
        KEY,
        "K3y-that%2Fis%2Bsecret%25%26%22x",
        "K3y-that%2fis%2bsecret%25%26%22x",
        "%4B3y-that/is+secret%25&\"x",
        r#"K3y-that\/is+secret%&\"x"#,
        r#"K3y\u002dthat/is+secret%\u0026\"x"#,
        r#"K3y\x2dthat/is+secret%&\"x"#,
        "K3y-that/is+secret%&amp;&quot;x",
        "K3y-that/is+secret%&#38;&#x22;x",
        "K3y-\0that/is+secret%&\"x",
        "K3y-that\r\n/is+secret%&\"x",
        "K3y-\u{1b}[31mthat/is\u{1b}]0;t\u{7}+secret%&\"x",
        "K3y-\u{200b}that/is+secret\u{fffd}%&\"x",
        r#"K3y-that\n/is+secret%&\"x"#,
    ] {
        let text = format!("a {form} b{form}c {form}");
        assert_eq!(
            redactor().line(&text, 1000),
            "a [redacted] b[redacted]c [redacted]",
            "{form:?}"
        );
    }
}

#[test]
fn preview_is_one_short_printable_line() {
    let preview = redactor().preview(b"<html>\r\n\t<b>\x00hi</b>\x1b[31m", 20);
    assert_eq!(preview, "<html> <b> hi</b> [3...");
    assert_eq!(redactor().preview(b"", 20), "");
    assert_eq!(redactor().preview(b"\xff\xfe", 20), "\u{fffd}\u{fffd}");
}

#[test]
fn secret_at_the_end_of_a_preview_is_replaced() {
    for padding in (0..200).chain(LOOKED_AT - 40..LOOKED_AT + 4) {
        let body = format!("{}K3y-that/is+secret%&\"x and more", " ".repeat(padding));
        let preview = redactor().preview(body.as_bytes(), 10);
        assert!(!preview.contains("K3y") && !preview.contains('K'), "{padding}: {preview}");
    }
}

#[test]
fn secret_cut_by_a_truncated_body_is_replaced() {
    assert_eq!(redactor().line("bad key K3y-that/is", 100), "bad key [redacted]");
    assert_eq!(redactor().line("bad key K3", 100), "bad key K3");
}

#[test]
fn header_value_and_its_parts_are_replaced() {
    let bearer = header("Bearer t0ken-of-the-tests");
    assert_eq!(bearer.line("invalid t0ken-of-the-tests!", 100), "invalid [redacted]!");
    assert_eq!(bearer.line("Bearer  t0ken-of-the-tests", 100), "[redacted]");
    assert_eq!(bearer.line("send a Bearer token", 100), "send a Bearer token");
    let basic = header("Basic bWU6aHVzaGh1c2g=");
    assert_eq!(basic.line("me:hushhush, hushhush", 100), "[redacted], [redacted]");
    assert_eq!(basic.line("bWU6aHVzaGh1c2g", 100), "[redacted]");
    let parameters = header("ApiKey id=agent7,key=s3cr3ts");
    assert_eq!(parameters.line("key s3cr3ts of agent7", 100), "key [redacted] of [redacted]");
}

#[test]
fn short_secret_is_replaced_as_a_word_only() {
    let short = header("hush");
    assert_eq!(short.line("hush! hushed (hush)", 100), "[redacted]! hushed ([redacted])");
    assert_eq!(header("1").line("1 of 11", 100), "1 of 11");
}

#[test]
fn credentials_of_an_address_are_replaced_in_all_forms() {
    let address = Url::parse("http://me:p%40ss%2Fword@proxy:3128").unwrap();
    let proxy = Redactor::default().with_address(&address);
    for form in ["p%40ss%2Fword", "p@ss/word", "me:p@ss/word", "bWU6cEBzcy93b3Jk", "cEBzcy93b3Jk"] {
        let shown = proxy.line(&format!("denied: {form}"), 100);
        assert_eq!(shown.contains("[redacted]"), form != "cEBzcy93b3Jk", "{form}: {shown}");
    }
    let without = Redactor::default().with_address(&Url::parse("http://proxy:3128").unwrap());
    assert_eq!(without.line("http://proxy:3128", 100), "http://proxy:3128");
}

#[test]
fn values_of_secret_keys_are_hidden() {
    let body = br#"{"token" : "a\"b", "Password":"x","n":1,"apiKey":[1,{"a":"]"}],"ok":"v"}"#;
    assert_eq!(
        redactor().body(body),
        r#"{"token":"[redacted]", "Password":"[redacted]","n":1,"apiKey":"[redacted]","ok":"v"}"#
    );
}

#[test]
fn text_without_json_is_unchanged() {
    assert_eq!(redactor().body(b"a \"b"), "a \"b");
    assert_eq!(redactor().body(br#"{"token":"#), r#"{"token":"[redacted]""#);
}

#[test]
fn body_is_shown_on_one_line_up_to_the_limit() {
    assert_eq!(redactor().body(b"{\n \x1b\"a\": 1\n}"), "{ \"a\": 1 }");
    let long = redactor().body(&vec![b'x'; TRACE_LIMIT + 1]);
    assert!(long.ends_with("xxx... (cut)") && long.len() < TRACE_LIMIT + 20);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_no_secret_survives(
        before in "[%\\\\&;+a-f0-9\u{1b}\\[\\] ]{0,20}",
        after in "\\PC{0,20}",
        most in 0_usize..60,
    ) {
        let secret = "s3cr3t-0f-th3-t3sts";
        let redactor = header(secret);
        let text = format!("{before}{secret}{after}");
        prop_assert!(!redactor.line(&text, most).contains("s3cr3"));
        prop_assert!(!redactor.preview(text.as_bytes(), most).contains("s3cr3"));
        prop_assert!(!redactor.body(text.as_bytes()).contains("s3cr3"));
    }
}
