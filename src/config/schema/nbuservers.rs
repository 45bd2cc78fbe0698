//! `nbuservers` and the old `nbuserver`: the primary servers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use super::address::{Address, Prefix, ProxyUrl, Scheme, Version, speaks_tls};
use super::kinds::{AnyText, Choice, Flag, Host, Number, Port, Secret, Text, Time};
use super::tls::{self, TlsKeys};
use crate::config::entries::Value;
use crate::config::fingerprint::digest;
use crate::config::yaml::context::Context;
use crate::config::yaml::diagnostics::Position;
use crate::config::yaml::key::Key;
use crate::config::yaml::lookup::Lookup;
use crate::config::yaml::values::{bracketed, is_loopback};
use crate::net::proxy::Proxy;
use crate::netbackup::config::Config;

/// A primary server.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Server {
    /// Label of all series of this server; unique.
    #[schemars(extend(
        "x-default" = "required",
        "examples" = ["primary"],
        "x-change" = "reset: another site"
    ))]
    site: Key<Text>,
    /// `false` leaves the server out; it needs no key then.
    #[schemars(extend("default" = true, "x-change" = "its series start or end at once"))]
    enabled: Key<Flag>,
    /// `https` or `http`. With `http`, the API key is sent in clear text.
    #[schemars(extend("default" = "https", "x-change" = "reset: another server"))]
    scheme: Key<Choice<Scheme>>,
    /// A name or an address, IPv6 with or without brackets.
    #[schemars(extend(
        "x-default" = "required",
        "examples" = ["nbu-primary.example.com"],
        "x-change" = "reset: another server"
    ))]
    host: Key<Host>,
    /// Port of the REST API, 1 to 65535.
    #[schemars(extend("default" = 1556, "x-change" = "reset: another server"))]
    port: Key<Port>,
    /// Path before every resource; `/` means none.
    #[schemars(extend("default" = "/netbackup", "x-change" = "reset: another server"))]
    uri: Key<Prefix>,
    /// The API key. Either this or `apiKeyFile` is required.
    #[schemars(extend(
        "x-default" = "required, or `apiKeyFile`",
        "examples" = ["${NBU_API_KEY}"],
        "x-change" = "reconnects; a key that was refused and has changed is tried at once"
    ))]
    api_key: Key<Secret>,
    /// File with the API key; space around the key is ignored. The agent watches the file: a changed file is a changed
    /// key.
    #[schemars(extend(
        "examples" = ["/run/secrets/nbu-api-key"],
        "x-change" = "reconnects; a key that was refused and has changed is tried at once"
    ))]
    api_key_file: Key<Text>,
    /// Version of the API: `14.0`, `13.0`, `12.0`, `11.0` (NetBackup 10.4) or `10.0`. `detect` takes the newest that both
    /// sides know.
    #[schemars(extend("default" = "detect", "x-change" = "reconnects"))]
    api_version: Key<Version>,
    /// Skip the verification of the server's certificate. For test systems only; use `caFile` for a private CA.
    #[schemars(extend("default" = false, "x-change" = "reconnects"))]
    insecure_skip_verify: Key<Flag>,
    /// PEM file of the CAs to trust, watched. Only these are trusted, not the system's. The JSON of
    /// `/netbackup/security/cacert` works as it is.
    #[schemars(extend(
        "x-default" = "the system's CAs",
        "examples" = ["/etc/nbu-otel-agent/ca.pem"],
        "x-change" = "reconnects"
    ))]
    ca_file: Key<Text>,
    /// PEM file of the client certificate for mutual TLS, watched. Always together with `keyFile`.
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/client.pem"], "x-change" = "reconnects"))]
    cert_file: Key<Text>,
    /// PEM file of its private key, watched.
    #[schemars(extend(
        "examples" = ["/etc/nbu-otel-agent/client-key.pem"],
        "x-change" = "reconnects"
    ))]
    key_file: Key<Text>,
    /// Proxy for this server, `http://` or `https://`. Without it, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` apply.
    #[schemars(extend(
        "x-default" = "of the environment, see [proxies](#proxies)",
        "examples" = ["http://proxy.example.com:3128"],
        "x-change" = "reconnects"
    ))]
    proxy_url: Key<ProxyUrl>,
    /// Timeout of one request, connecting included.
    #[schemars(extend("default" = "30s", "x-change" = "reconnects"))]
    timeout: Key<Time>,
    /// Concurrent requests to this server, over all collectors; 1 to 256.
    #[schemars(extend("default" = 4, "x-change" = "reconnects"))]
    max_concurrent_requests: Key<Number<1, 256>>,
    /// Accepted for files of nbu_exporter, and unused.
    #[schemars(extend("deprecated" = true, "examples" = ["example.com"], "x-change" = "nothing"))]
    domain: Key<AnyText>,
    /// Accepted for files of nbu_exporter, and unused.
    #[schemars(extend("deprecated" = true, "examples" = ["vx"], "x-change" = "nothing"))]
    domain_type: Key<AnyText>,
    /// Accepted for files of nbu_exporter, and unused.
    #[schemars(extend(
        "deprecated" = true,
        "examples" = ["application/vnd.netbackup+json; version=13.0"],
        "x-change" = "nothing"
    ))]
    content_type: Key<AnyText>,
}

/// The servers of a file.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) enabled: Vec<Config>,
    /// Sites of the servers that are polled, by the paths of their sections.
    pub(super) sites: BTreeMap<String, String>,
}

/// The two forms of an entry: an item of `nbuservers`, or the old single one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Item,
    Single,
}

/// Reads the servers; it is an error to have none.
pub(super) fn read<'c>(context: &'c Context<'c>, list: &[Server], single_form: &Server) -> Servers {
    let mut sites = BTreeMap::new();
    let items = list.iter().enumerate();
    let mut read: Vec<_> = items
        .map(|(index, server)| {
            server.read(context, format!("nbuservers[{index}]"), Form::Item, &mut sites)
        })
        .collect();
    let many = context.section("nbuservers").map(|it| (it.key, it.is_set, it.is_lost));
    let (key, is_set, is_lost) = many.unwrap_or((Position::START, false, false));
    let single = context.section("nbuserver").filter(|it| it.is_set).map(|it| it.value);
    if let Some(position) = single {
        if is_set {
            context.error(position, "nbuserver", "give nbuservers or nbuserver, not both");
        }
        let message = "the old form for a single server; nbuservers takes a list of them";
        context.warn(position, "nbuserver", message);
        let path = "nbuserver".to_owned();
        read.push(single_form.read(context, path, Form::Single, &mut sites));
    }
    if read.is_empty() && !is_lost {
        context.error(key, "nbuservers", "expected at least one server");
    // One that is wrong counts as enabled: its own errors are enough.
    } else if !read.is_empty() && read.iter().all(|it| matches!(it, Some((false, _)))) {
        context.error(key, "nbuservers", "expected at least one enabled server");
    }
    let enabled = read.into_iter().flatten().filter(|(enabled, _)| *enabled);
    let enabled: Vec<_> = enabled.map(|(_, config)| config).collect();
    sites.retain(|site, _| enabled.iter().any(|config| config.site == *site));
    let sites = sites.into_iter().map(|(site, path)| (path, site)).collect();
    Servers { enabled, sites }
}

impl Server {
    /// Reads one entry; returns true with its settings if it is enabled. `sites` has the paths of entries before it.
    fn read<'c>(
        &self,
        context: &'c Context<'c>,
        path: String,
        form: Form,
        sites: &mut BTreeMap<String, String>,
    ) -> Option<(bool, Config)> {
        let enabled = self.enabled.get(context).value()?;
        let address = self.address(context, enabled);
        let site = self.site(context, form, path, address.as_ref(), sites);
        let api_key = self.api_key(context, enabled);
        let api_version = self.api_version.get(context).value()?;
        let insecure = self.insecure_skip_verify.get(context);
        let is_insecure = matches!(insecure.found, Lookup::Valid(true));
        if enabled && is_insecure {
            let message = "any certificate is accepted, so anyone on the path can take the API key; \
                           caFile trusts a private CA";
            insecure.source.warn(message);
        }
        let insecure_skip_verify = insecure.value()?;
        let keys = TlsKeys { ca: self.ca_file, certificate: self.cert_file, key: self.key_file };
        let settings = keys.get(context);
        let ca_source = settings.ca_source();
        let (ca, identity) = if enabled {
            settings.read()
        } else {
            settings.check();
            (None, None)
        };
        keys.show(context, ca.as_ref(), identity.as_ref());
        let proxy = self.proxy(context, enabled, address.as_ref());
        let needs_roots =
            enabled && ca.is_none() && !is_insecure && speaks_tls(address.as_ref(), proxy.as_ref());
        let roots = needs_roots.then(|| tls::system_roots(&ca_source));
        let timeout = self.timeout.get(context).value()?;
        let max_concurrent_requests = self.max_concurrent_requests.get(context).value()?;
        for unused in [self.domain, self.domain_type, self.content_type] {
            let _ = unused.get(context);
        }
        let (api_key, site) = (api_key?, site?);
        self.site.show(context, &site);
        let config = Config {
            site,
            base_url: address?.url,
            api_key,
            api_version,
            insecure_skip_verify,
            ca,
            roots,
            identity,
            proxy,
            timeout,
            max_concurrent_requests,
        };
        Some((enabled, config))
    }

    /// Returns the site of an entry: its own, and for the old form else the host.
    fn site<'c>(
        &self,
        context: &'c Context<'c>,
        form: Form,
        path: String,
        address: Option<&Address>,
        sites: &mut BTreeMap<String, String>,
    ) -> Option<String> {
        let setting = self.site.get(context);
        let source = setting.source.clone();
        let site = if form == Form::Single && setting.is_absent() {
            address?.host.clone()
        } else {
            setting.value()?
        };
        if let Some(first) = sites.get(&site) {
            source.error(&format!("the same site as {first}; sites are unique"));
            return None;
        }
        sites.insert(site.clone(), path);
        Some(site)
    }

    fn address<'c>(&self, context: &'c Context<'c>, enabled: bool) -> Option<Address> {
        let scheme = self.scheme.get(context);
        let scheme_source = scheme.source.clone();
        let scheme = scheme.value()?;
        let host = self.host.get(context);
        let host_source = host.source.clone();
        let host = host.value();
        let port = self.port.get(context).value()?;
        let prefix = self.uri.get(context).value()?;
        let is_local = host.as_deref().is_some_and(is_loopback);
        if enabled && scheme == Scheme::Http && !is_local {
            scheme_source.warn("the API key is sent in the clear");
        }
        let host = host?;
        let name = if scheme == Scheme::Http { "http" } else { "https" };
        let url = Url::parse(&format!("{name}://{}:{port}{prefix}", bracketed(&host)));
        let Ok(url) = url else {
            host_source.section_error("makes no valid address together with port and uri");
            return None;
        };
        // As they are in the address.
        self.host.show(context, &url.host_str().unwrap_or_default().to_owned());
        self.uri.show(context, &url.path().to_owned());
        Some(Address { host, url })
    }

    /// Returns the key, from the configuration or from a file. For a server that is not enabled the file may be
    /// missing.
    fn api_key<'c>(&self, context: &'c Context<'c>, enabled: bool) -> Option<SecretString> {
        let key = self.api_key.get(context);
        let file = self.api_key_file.get(context);
        if self.api_key.is_set(context) && self.api_key_file.is_set(context) {
            file.source.error("give apiKey or apiKeyFile, not both");
            return None;
        }
        match (key.is_absent(), file.is_absent()) {
            (false, false) => None,
            (true, true) if !enabled => Some(SecretString::from("")),
            (true, true) => {
                let message = "required, but missing or empty (apiKeyFile is the alternative)";
                key.source.error(message);
                None
            }
            (false, true) => key.option(),
            (true, false) if !enabled => file.option().map(|_| SecretString::from("")),
            (true, false) => {
                let (key, path) = tls::api_key(file)?;
                let path = path.to_string_lossy().into_owned();
                let content = digest(key.expose_secret().as_bytes());
                self.api_key_file.show_as(context, Value::File(path, content));
                Some(key)
            }
        }
    }

    /// Returns the proxy on the way to the server: its own, else that of the environment.
    fn proxy<'c>(
        &self,
        context: &'c Context<'c>,
        enabled: bool,
        address: Option<&Address>,
    ) -> Option<Proxy> {
        let own = self.proxy_url.get(context).option();
        let address = address.filter(|_| enabled);
        let proxy = own.or_else(|| context.proxies().proxy_for(&address?.url).cloned());
        let problem = proxy.as_ref().zip(address).and_then(|(it, at)| it.unreachable(&at.url));
        if let Some(problem) = problem {
            self.host.get(context).source.section_error(&problem);
        }
        proxy
    }
}
