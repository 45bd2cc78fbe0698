//! Tests of the origins that may request a reload.

use super::*;

fn check(configured: &str, target: &str, fields: &[(&str, &str)]) -> Result<(), Refused> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(
            axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
    }
    Hosts::new(configured).check(&target.parse().unwrap(), &headers)
}

#[test]
fn loopback_and_the_configured_host_pass() {
    for (configured, host) in [
        ("127.0.0.1", "127.0.0.1:9440"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost:9440"),
        ("127.0.0.1", "LOCALHOST"),
        ("127.0.0.1", "localhost."),
        ("127.0.0.1", "localhost.:9440"),
        ("127.0.0.1", "[::1]:9440"),
        ("127.0.0.1", "[::1]"),
        ("127.0.0.1", "[::ffff:127.0.0.1]:1"),
        ("127.0.0.1", "127.8.9.10:9440"),
        ("::1", "[0:0:0:0:0:0:0:1]:9440"),
        ("backup01", "backup01:9440"),
        ("backup01.example.com", "BACKUP01.example.com.:80"),
        ("10.1.2.3", "10.1.2.3:9440"),
        ("10.1.2.3", "127.0.0.1:9440"),
        ("2001:db8::7", "[2001:db8:0::7]:9440"),
        ("0.0.0.0", "10.1.2.3:9440"),
        ("::", "[2001:db8::7]:9440"),
        ("0.0.0.0", "agent.example.com"),
    ] {
        assert_eq!(
            check(configured, "/-/reload", &[("host", host)]),
            Ok(()),
            "{configured} {host}"
        );
    }
    assert_eq!(check("127.0.0.1", "/-/reload", &[]), Ok(()), "HTTP/1.0 needs no host");
}

#[test]
fn other_hosts_are_refused() {
    for (configured, host) in [
        ("127.0.0.1", "evil"),
        ("127.0.0.1", "evil.example.com:9440"),
        ("127.0.0.1", "localhost.evil.example.com"),
        ("127.0.0.1", "127.0.0.1.evil.example.com"),
        ("127.0.0.1", "localhost@evil"),
        ("127.0.0.1", "evil@localhost"),
        ("127.0.0.1", "localhost.."),
        ("127.0.0.1", "10.1.2.3:9440"),
        ("127.0.0.1", "[2001:db8::7]"),
        ("127.0.0.1", ""),
        ("127.0.0.1", ":9440"),
        ("127.0.0.1", "127.0.0.1, evil"),
        ("10.1.2.3", "10.1.2.4"),
        ("backup01", "backup01.example.com"),
    ] {
        let fields = [("host", host)];
        assert_eq!(check(configured, "/-/reload", &fields), Err(Refused::Host), "{host:?}");
    }
    let two = [("host", "localhost"), ("host", "evil")];
    assert_eq!(check("127.0.0.1", "/-/reload", &two), Err(Refused::Host));
    let other = check("127.0.0.1", "http://evil/-/reload", &[("host", "localhost")]);
    assert_eq!(other, Err(Refused::Host), "the target counts, too");
}

#[test]
fn rebound_names_are_refused() {
    let origin = [("host", "evil"), ("origin", "http://evil")];
    let site = [("host", "evil:9440"), ("sec-fetch-site", "same-origin")];
    for configured in ["127.0.0.1", "::1", "localhost", "10.1.2.3", "backup01", "0.0.0.0", "::"] {
        for fields in [&origin[..], &site] {
            assert_eq!(check(configured, "/-/reload", fields), Err(Refused::Host), "{configured}");
        }
    }
}

#[test]
fn pages_of_the_endpoint_itself_pass() {
    for fields in [
        &[("host", "localhost:9440"), ("origin", "http://localhost:9440")][..],
        &[("host", "localhost:9440"), ("origin", "http://LOCALHOST.:9440")],
        &[("host", "localhost"), ("origin", "http://localhost:80")],
        &[("host", "localhost:80"), ("origin", "http://localhost")],
        &[("host", "localhost"), ("origin", "https://localhost")],
        &[("host", "[::1]:9440"), ("origin", "http://[::1]:9440")],
        &[("host", "localhost:1"), ("sec-fetch-site", "none")],
        &[("host", "localhost:1"), ("sec-fetch-site", "Same-Origin")],
    ] {
        assert_eq!(check("127.0.0.1", "/-/reload", fields), Ok(()), "{fields:?}");
    }
}

#[test]
fn pages_of_other_origins_are_refused() {
    for fields in [
        &[("host", "localhost:9440"), ("origin", "http://evil")][..],
        &[("host", "localhost:9440"), ("origin", "http://localhost:3000")],
        &[("host", "localhost:9440"), ("origin", "http://localhost")],
        &[("host", "localhost:9440"), ("origin", "http://127.0.0.1:9440")],
        &[("host", "localhost:9440"), ("origin", "null")],
        &[("host", "localhost:9440"), ("origin", "")],
        &[("host", "localhost:9440"), ("origin", "file://localhost:9440")],
        &[("host", "localhost:1"), ("origin", "http://localhost:1"), ("origin", "http://evil")],
        &[("origin", "http://localhost:9440")],
        &[("host", "localhost:9440"), ("sec-fetch-site", "cross-site")],
        &[("host", "localhost:9440"), ("sec-fetch-site", "same-site")],
        &[("host", "localhost:9440"), ("sec-fetch-site", "")],
    ] {
        assert_eq!(check("127.0.0.1", "/-/reload", fields), Err(Refused::Origin), "{fields:?}");
    }
}
