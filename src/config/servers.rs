//! `nbuservers` and the old `nbuserver`: the primary servers.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::files;
use super::reader::Section;
use super::setting::Found;
use super::values::{
    Parsed, any, boolean, bracketed, choice, duration, header_secret, host, is_loopback, number,
    port, text,
};
use crate::net::proxy::Proxy;
use crate::netbackup::config::Config;
use crate::netbackup::version::ApiVersion;

/// What `nbuservers` configures.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) enabled: Vec<Config>,
    /// Site to the file that holds its key.
    pub(super) key_files: BTreeMap<String, PathBuf>,
}

/// One entry.
struct Server {
    enabled: bool,
    config: Config,
    key_file: Option<PathBuf>,
}

/// Whether an entry is an item of `nbuservers` or the old single form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Item,
    Single,
}

const SCHEMES: &[(&str, &str)] = &[("https", "https"), ("http", "http")];

/// Reads the servers; that there is none is an error.
pub(super) fn read(root: &mut Section<'_>) -> Servers {
    let context = root.context;
    let many = root.holds("nbuservers");
    let sections = root.sections("nbuservers");
    let single = root.section("nbuserver");
    let both = root.holds("nbuserver") && many;
    let is_list = sections.is_some();
    let mut sites = HashMap::new();
    let mut read: Vec<Option<Server>> = sections
        .into_iter()
        .flatten()
        .map(|section| server(section, Form::Item, &mut sites))
        .collect();
    if both {
        context.error(single.position, "nbuserver", "give nbuservers or nbuserver, not both");
    }
    if root.holds("nbuserver") {
        let message = "the old form for a single server; nbuservers takes a list of them";
        context.warn(single.position, "nbuserver", message);
        read.push(server(single, Form::Single, &mut sites));
    }
    let at = root.position_of("nbuservers");
    if read.is_empty() && (is_list || !many) {
        context.error(at, "nbuservers", "expected at least one server");
    } else if !read.is_empty() && read.iter().flatten().all(|server| !server.enabled) {
        // One that is wrong counts as enabled: its own errors are enough.
        if read.iter().all(Option::is_some) {
            context.error(at, "nbuservers", "expected at least one enabled server");
        }
    }
    let mut servers = Servers::default();
    for server in read.into_iter().flatten().filter(|server| server.enabled) {
        let key_file = server.key_file.map(|file| (server.config.site.clone(), file));
        servers.key_files.extend(key_file);
        servers.enabled.push(server.config);
    }
    servers
}

fn server(
    mut section: Section<'_>,
    form: Form,
    sites: &mut HashMap<String, String>,
) -> Option<Server> {
    let enabled = section.get("enabled", boolean).or(true);
    let address = address(&mut section, enabled);
    let site = site(&mut section, form, address.as_ref(), sites);
    let key = api_key(&mut section, enabled);
    let api_version = section.get("apiVersion", api_version).or(None);
    let insecure = section.get("insecureSkipVerify", boolean);
    if enabled && matches!(insecure.found, Found::Given(true)) {
        let message = "any certificate is accepted, so anyone on the path can take the API key; \
                       caFile trusts a private CA";
        insecure.source.warn(message);
    }
    let material = files::TlsSettings::of(&mut section);
    let ca_source = material.ca_source();
    let (ca, identity) = if enabled {
        material.read()
    } else {
        material.check();
        (None, None)
    };
    let proxy = section.secret("proxyUrl", proxy).option();
    let environment = || enabled.then(|| section.context.proxies()).zip(address.as_ref());
    let proxy = proxy.or_else(|| {
        environment().and_then(|(proxies, address)| proxies.proxy_for(&address.url).cloned())
    });
    let route = address.as_ref().filter(|_| enabled).zip(proxy.as_ref());
    if let Some(problem) = route.and_then(|(address, proxy)| proxy.unreachable(&address.url)) {
        section.context.error(section.position, &section.path_of("host"), problem);
    }
    let needs_roots = enabled
        && ca.is_none()
        && !matches!(insecure.found, Found::Given(true))
        && speaks_tls(address.as_ref(), proxy.as_ref());
    let roots = needs_roots.then(|| files::system_roots(&ca_source));
    let timeout = section.get("timeout", duration).or(Duration::from_secs(30));
    let max_concurrent_requests = section.get("maxConcurrentRequests", number(1, 256)).or(4);
    for unused in ["domain", "domainType", "contentType"] {
        section.unused(unused);
    }
    let (api_key, key_file) = key?;
    let config = Config {
        site: site?,
        base_url: address?.url,
        api_key,
        api_version,
        insecure_skip_verify: insecure.or(false),
        ca,
        roots,
        identity,
        proxy,
        timeout,
        max_concurrent_requests,
    };
    Some(Server { enabled, config, key_file })
}

/// Returns true if there is TLS on the way to the server, or to its proxy.
fn speaks_tls(address: Option<&Address>, proxy: Option<&Proxy>) -> bool {
    address.is_some_and(|address| address.url.scheme() == "https")
        || proxy.is_some_and(Proxy::speaks_tls)
}

/// The site of an entry: its own, and for the old form else the host.
fn site(
    section: &mut Section<'_>,
    form: Form,
    address: Option<&Address>,
    sites: &mut HashMap<String, String>,
) -> Option<String> {
    let setting = section.get("site", text);
    let source = setting.source.clone();
    let site = if form == Form::Single && setting.is_absent() {
        address?.host.clone()
    } else {
        setting.required()?
    };
    if let Some(first) = sites.get(&site) {
        source.error(&format!("the same site as {first}; sites are unique"));
        return None;
    }
    sites.insert(site.clone(), section.path.clone());
    Some(site)
}

/// Where a server is.
struct Address {
    /// As the file spells it; a URL would change its case.
    host: String,
    url: Url,
}

fn address(section: &mut Section<'_>, enabled: bool) -> Option<Address> {
    let scheme = section.get("scheme", choice(SCHEMES));
    let source = scheme.source.clone();
    let scheme = scheme.or("https");
    let host = section.get("host", host).required();
    let port = section.get("port", port).or(1556);
    let prefix = section.get("uri", prefix).or("/netbackup".to_owned());
    let local = host.as_deref().is_some_and(is_loopback);
    if enabled && scheme == "http" && !local {
        source.warn("the API key is sent in the clear");
    }
    let host = host?;
    let url = Url::parse(&format!("{scheme}://{}:{port}{prefix}", bracketed(&host)));
    if url.is_err() {
        let message = "makes no valid address together with port and uri";
        section.context.error(section.position, &section.path_of("host"), message);
    }
    Some(Address { host, url: url.ok()? })
}

/// The path before every resource: a leading slash, no trailing one; `/` means none.
fn prefix(text: &str) -> Parsed<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    match text.trim() {
        "" => Ok("/netbackup".to_owned()),
        path if !path.chars().all(plain) || path.split('/').any(|part| part == "..") => {
            Err("expected a path of letters, digits, / - _ . and ~".into())
        }
        path => match path.trim_matches('/') {
            "" => Ok(String::new()),
            path => Ok(format!("/{path}")),
        },
    }
}

/// The key, from the configuration or from a file. For a server that is not enabled the file may be
/// missing.
fn api_key(section: &mut Section<'_>, enabled: bool) -> Option<(SecretString, Option<PathBuf>)> {
    let key = section.secret("apiKey", header_secret);
    let file = section.get("apiKeyFile", text);
    if section.holds("apiKey") && section.holds("apiKeyFile") {
        file.source.error("give apiKey or apiKeyFile, not both");
        return None;
    }
    match (key.is_absent(), file.is_absent()) {
        (false, false) => None,
        (true, true) if !enabled => Some((SecretString::from(""), None)),
        (true, true) => {
            key.source.error("required, but missing or empty (apiKeyFile is the alternative)");
            None
        }
        (false, true) => key.option().map(|key| (key, None)),
        (true, false) if !enabled => file.option().map(|_| (SecretString::from(""), None)),
        (true, false) => files::api_key(file).map(|(key, path)| (key, Some(path))),
    }
}

/// A version that this agent knows, or `None` to detect it.
fn api_version(text: &str) -> Parsed<Option<ApiVersion>> {
    let text = any(text)?.trim().to_owned();
    if text.is_empty() || text.eq_ignore_ascii_case("detect") {
        return Ok(None);
    }
    match text.parse() {
        Ok(version) if ApiVersion::KNOWN.contains(&version) => Ok(Some(version)),
        _ => {
            let known = ApiVersion::KNOWN.map(|version| version.to_string()).join(", ");
            Err(format!("expected one of {known}, or detect").into())
        }
    }
}

fn proxy(given: &str) -> Parsed<Proxy> {
    Proxy::parse(&text(given)?).ok_or_else(|| {
        "expected the address of a proxy such as http://proxy.example.com:3128".into()
    })
}
