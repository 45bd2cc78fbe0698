//! Which proxy, for whom.

use super::*;

fn proxies(set: &[(&str, &str)]) -> EnvironmentProxies {
    EnvironmentProxies::read(|name| {
        set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn is_proxied(no_proxy: &str, url: &str) -> bool {
    let proxies = proxies(&[("ALL_PROXY", "http://proxy:3128"), ("NO_PROXY", no_proxy)]);
    proxies.proxy_for(&url.parse().unwrap()).is_some()
}

#[test]
fn exceptions_follow_the_rules_of_curl() {
    let nbu = "https://nbu.example.com:1556/netbackup";
    for (list, url, direct) in [
        ("", nbu, false),
        ("*", nbu, true),
        ("other.org, *", nbu, true),
        ("*", "https://10.0.0.1:1556", true),
        ("nbu.example.com", nbu, true),
        ("NBU.Example.COM", nbu, true),
        ("nbu.example.com.", nbu, true),
        ("nbu.example.com", "https://nbu.example.com.:1556", true),
        ("example.com", nbu, true),
        (".example.com", nbu, true),
        (".example.com", "https://example.com", true),
        ("*.example.com", nbu, true),
        ("*.example.com", "https://a.b.example.com", true),
        ("*.example.com", "https://example.com", false),
        ("*.example.com", "https://badexample.com", false),
        ("ample.com", nbu, false),
        ("example.com.org", nbu, false),
        ("nbu.example.com:1556", nbu, true),
        ("nbu.example.com:443", nbu, false),
        ("nbu.example.com:443", "https://nbu.example.com", true),
        (".example.com:1556", nbu, true),
        ("*:1556", nbu, true),
        ("*:443", nbu, false),
        ("a b\texample.com", nbu, true),
        ("a,,  ,example.com,", nbu, true),
        ("10.0.0.1", "https://10.0.0.1:1556", true),
        ("10.0.0.1:1556", "https://10.0.0.1:1556", true),
        ("10.0.0.1:1557", "https://10.0.0.1:1556", false),
        ("10.0.0.10", "https://10.0.0.1:1556", false),
        ("10.0.0.0/8", "https://10.20.30.40", true),
        ("10.1.2.3/8", "https://10.20.30.40", true),
        ("10.0.0.0/8", "https://11.0.0.1", false),
        ("10.0.0.0/8", "https://10.example.com", false),
        ("0.0.0.0/0", "https://11.0.0.1", true),
        ("::1", "https://[::1]:1556", true),
        ("[::1]", "https://[::1]:1556", true),
        ("[::1]:1556", "https://[::1]:1556", true),
        ("[::1]:443", "https://[::1]:1556", false),
        ("0:0:0:0:0:0:0:1", "https://[::1]:1556", true),
        ("2001:db8::/32", "https://[2001:DB8:1::5]:1556", true),
        ("[2001:db8::]/32", "https://[2001:db8:1::5]:1556", true),
        ("2001:db8::/32", "https://[2001:db9::5]:1556", false),
        ("::ffff:10.0.0.1", "https://10.0.0.1", true),
        ("localhost", "http://127.0.0.1", false),
        ("localhost", "http://LOCALHOST:4317", true),
        (".", nbu, false),
        (":", nbu, false),
        (":1556", nbu, false),
    ] {
        assert_eq!(is_proxied(list, url), !direct, "{list:?} {url}");
    }
}

#[test]
fn proxy_follows_the_scheme_and_names_its_variable() {
    let proxy = |set: &[(&str, &str)], url: &str| {
        let proxies = proxies(set);
        let found = proxies.proxy_for(&url.parse().unwrap()).cloned();
        found.map(|proxy| (proxy.display, proxy.variable.unwrap()))
    };
    let found = |display: &str, variable| Some((display.to_owned(), variable));
    let (http, https) = ("http://nbu", "https://nbu");
    assert_eq!(proxy(&[("HTTPS_PROXY", "http://a:1")], https), found("a:1", "HTTPS_PROXY"));
    assert_eq!(proxy(&[("https_proxy", "a:1")], https), found("a:1", "https_proxy"));
    assert_eq!(
        proxy(&[("HTTPS_PROXY", ""), ("https_proxy", "a:1")], https),
        found("a:1", "https_proxy")
    );
    assert_eq!(proxy(&[("HTTPS_PROXY", "http://a:1")], http), None);
    assert_eq!(proxy(&[("http_proxy", "a")], http), found("a:80", "http_proxy"));
    assert_eq!(proxy(&[("all_proxy", "https://a")], http), found("a:443", "all_proxy"));
    let both = [("ALL_PROXY", "http://b:2"), ("HTTPS_PROXY", "http://a:1")];
    assert_eq!(proxy(&both, https), found("a:1", "HTTPS_PROXY"));
    assert_eq!(proxy(&both, http), found("b:2", "ALL_PROXY"));
    assert_eq!(proxy(&[("no_proxy", "nbu"), ("ALL_PROXY", "a:1")], https), None);
    assert_eq!(proxy(&[("HTTPS_PROXY", "me:pass@a:1")], https), found("a:1", "HTTPS_PROXY"));
}

#[test]
fn variable_without_an_http_proxy_is_reported_and_not_used() {
    for value in ["socks5://a:1", "http://", "://", "a b"] {
        let proxies = proxies(&[("HTTPS_PROXY", value)]);
        assert_eq!(proxies.unusable(), ["HTTPS_PROXY"], "{value}");
        assert!(proxies.proxy_for(&"https://nbu".parse().unwrap()).is_none(), "{value}");
    }
}

#[test]
fn credentials_are_sent_decoded() {
    let with = |address: &str| {
        let value = Proxy::parse(address).unwrap().authorization()?;
        Some(value.to_str().unwrap().to_owned())
    };
    assert_eq!(with("http://me:p%40ss@proxy").unwrap(), "Basic bWU6cEBzcw==");
    assert_eq!(with("http://me@proxy").unwrap(), "Basic bWU6");
    assert_eq!(with("http://proxy"), None);
}

#[test]
fn only_https_to_an_ipv6_address_is_rejected() {
    let proxy = Proxy::parse("http://me:hush@proxy:3128").unwrap();
    let refused = |url: &str| proxy.unreachable(&url.parse().unwrap());
    let said = refused("https://[2001:db8::1]:1556/netbackup").unwrap();
    assert!(said.contains("proxy:3128 (proxyUrl)") && !said.contains("hush"), "{said}");
    for url in ["http://[::1]:1556", "https://10.0.0.1:1556", "https://nbu:1556"] {
        assert_eq!(refused(url), None, "{url}");
    }
}
