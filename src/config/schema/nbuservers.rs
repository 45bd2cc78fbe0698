//! A primary server: an entry of `nbuservers`, the old `nbuserver`, or a site file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use super::address::{Prefix, ProxyUrl, Scheme, Version};
use super::kinds::{
    AnyText, CertFingerprint, Choice, Flag, Host, Number, Port, Secret, Text, Time,
};
use super::tls::TlsKeys;
use crate::config::entries::Value;
use crate::config::fingerprint::digest;
use crate::config::yaml::context::Context;
use crate::config::yaml::setting::{Key, List};
use crate::http::display;
use crate::net::address::is_loopback;
use crate::net::proxy::Proxy;
use crate::netbackup::config::Config;

/// A primary server.
#[expect(clippy::struct_field_names, reason = "the names of the keys")]
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Server {
    /// Label of all series of this server; unique.
    #[schemars(extend("x-default" = "required", "examples" = ["primary"]))]
    #[schemars(extend("x-change" = "reset: another site"))]
    site: Key<Text>,
    /// `false` leaves the server out; it needs no key then.
    #[schemars(extend("default" = true, "x-change" = "its series start or end at once"))]
    enabled: Key<Flag>,
    /// `https` or `http`. With `http`, the API key is sent in clear text, which is a warning for a host that is not this
    /// machine.
    #[schemars(extend("default" = "https", "x-change" = "reset: another server"))]
    scheme: Key<Choice<Scheme>>,
    /// `true` permits that the API key is sent in clear text, over `http`, and ends the warning.
    #[schemars(extend("default" = false, "x-change" = "reconnects"))]
    allow_plain_text: Key<Flag>,
    /// A name or an address, IPv6 with or without brackets.
    #[schemars(extend("x-default" = "required", "examples" = ["nbu-primary.example.com"]))]
    #[schemars(extend("x-change" = "reset: another server"))]
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
    /// Skip the verification of the server's certificate. For test systems only; use `caFile` for a private CA. With
    /// `serverCertFingerprints`, these alone decide.
    #[schemars(extend("default" = false, "x-change" = "reconnects"))]
    insecure_skip_verify: Key<Flag>,
    /// PEM file of the CAs to trust, watched. Only these are trusted, not the system's. The JSON of
    /// `/netbackup/security/cacert` works as it is.
    #[schemars(extend("x-default" = "the system's CAs"))]
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/ca.pem"], "x-change" = "reconnects"))]
    ca_file: Key<Text>,
    /// SHA-256 fingerprints of the server's certificate, colons and case do not matter: it must have one of them, and be
    /// verified as well unless `insecureSkipVerify` is set. `doctor` shows the fingerprint, and so does
    /// `openssl x509 -noout -fingerprint -sha256`. Name the next certificate before you install it.
    #[schemars(extend("default" = [], "x-change" = "reconnects"))]
    server_cert_fingerprints: Key<List<CertFingerprint>>,
    /// PEM file of the client certificate for mutual TLS, watched. Always together with `keyFile`.
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/client.pem"], "x-change" = "reconnects"))]
    cert_file: Key<Text>,
    /// PEM file of its private key, watched.
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/client-key.pem"]))]
    #[schemars(extend("x-change" = "reconnects"))]
    key_file: Key<Text>,
    /// Proxy for this server, `http://` or `https://`. Without it, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` apply.
    #[schemars(extend("x-default" = "of the environment, see [proxies](#proxies)"))]
    #[schemars(extend("examples" = ["http://proxy.example.com:3128"], "x-change" = "reconnects"))]
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
    #[schemars(extend("deprecated" = true))]
    #[schemars(extend("examples" = ["application/vnd.netbackup+json; version=13.0"]))]
    #[schemars(extend("x-change" = "nothing"))]
    content_type: Key<AnyText>,
}

/// The section of the old form.
pub(super) const OLD_FORM: &str = "nbuserver";

/// The ways to name a server.
pub(super) struct Name<'n> {
    /// The path of its section; empty where it is a whole file.
    pub(super) section: &'n str,
    /// The section or the file, for people.
    pub(super) shown: &'n str,
    /// The site where the section names none.
    pub(super) default: Option<&'n str>,
}

impl Server {
    /// Returns the host, where it is valid.
    pub(super) fn host_given(&self, context: &Context<'_>) -> Option<String> {
        self.host.get(context).given()
    }

    /// Reads the section; returns true with its settings if it is enabled. `sites` has those of the sections before
    /// it, with their places.
    pub(super) fn read(
        &self,
        context: &Context<'_>,
        name: &Name<'_>,
        sites: &mut BTreeMap<String, String>,
    ) -> Option<(bool, Config)> {
        let enabled = self.enabled.get(context).value()?;
        let allow_plain_text = self.allow_plain_text.get(context).value()?;
        let address = self.address(context, enabled, allow_plain_text);
        let site = self.site(context, name, sites);
        let api_key = self.api_key(context, enabled);
        let insecure = self.insecure_skip_verify.get(context);
        let is_insecure = insecure.value()?;
        let pinned = self.server_cert_fingerprints.get(context);
        let fingerprints = pinned.value()?;
        if enabled && is_insecure && fingerprints.is_empty() {
            let message = "any certificate is accepted, so anyone on the path can take the API key; \
                           caFile trusts a private CA";
            insecure.warn(message);
        }
        let is_http = address.as_ref().is_some_and(|address| address.scheme() == "http");
        if enabled && is_http && !fingerprints.is_empty() {
            pinned.warn("without effect, because scheme is http");
        }
        let keys =
            TlsKeys { ca_file: self.ca_file, cert_file: self.cert_file, key_file: self.key_file };
        let tls = keys.get(context);
        let (ca, identity) = if enabled {
            tls.read()
        } else {
            tls.check();
            (None, None)
        };
        keys.show(context, ca.as_ref(), identity.as_ref());
        let proxy = self.proxy(context, enabled, address.as_ref());
        let roots = if enabled && !is_insecure {
            tls.roots(ca.as_ref(), address.as_ref(), proxy.as_ref())
        } else {
            None
        };
        for unused in [self.domain, self.domain_type, self.content_type] {
            let _ = unused.get(context);
        }
        let config = Config {
            // These are read before something that is missing ends it.
            api_version: self.api_version.get(context).value()?,
            timeout: self.timeout.get(context).value()?,
            max_concurrent_requests: self.max_concurrent_requests.get(context).value()?,
            insecure_skip_verify: is_insecure,
            allow_plain_text,
            ca,
            roots,
            fingerprints,
            identity,
            proxy,
            api_key: api_key?,
            site: site?,
            base_url: address?,
        };
        self.site.show(context, &config.site);
        if !enabled {
            let section = name.section;
            context.hide(&if section.is_empty() { String::new() } else { format!("{section}.") });
        }
        Some((enabled, config))
    }

    /// Returns the site of a section: its own, else the default.
    fn site(
        &self,
        context: &Context<'_>,
        name: &Name<'_>,
        sites: &mut BTreeMap<String, String>,
    ) -> Option<String> {
        let setting = self.site.get(context);
        let default = name.default.filter(|_| setting.is_absent());
        let site = match default {
            Some(default) => default.to_owned(),
            // The host is wrong, which is an error of its own.
            None if name.section == OLD_FORM && setting.is_absent() => return None,
            None => setting.value()?,
        };
        if let Some(first) = sites.get(&site) {
            setting.error(&format!("the same site as {first}; sites are unique"));
            return None;
        }
        sites.insert(site.clone(), name.shown.to_owned());
        Some(site)
    }

    fn address(&self, context: &Context<'_>, enabled: bool, allow_plain_text: bool) -> Option<Url> {
        let scheme = self.scheme.get(context);
        let is_http = scheme.value()? == Scheme::Http;
        let setting = self.host.get(context);
        let host = setting.value();
        let port = self.port.get(context).value()?;
        let prefix = self.uri.get(context).value()?;
        let stays_here = host.as_deref().is_some_and(is_loopback);
        if enabled && is_http && !stays_here && !allow_plain_text {
            scheme
                .warn("the API key is sent in clear text: use https, or set allowPlainText: true");
        }
        let host = host?;
        let name = if is_http { "http" } else { "https" };
        let url = Url::parse(&format!("{name}://{}{prefix}", display(&host, port)));
        let Ok(url) = url else {
            setting.section_error("makes no valid address together with port and uri");
            return None;
        };
        // As they are in the address.
        self.host.show(context, &url.host_str().unwrap_or_default().to_owned());
        self.uri.show(context, &url.path().to_owned());
        Some(url)
    }

    /// Returns the key, from the configuration or from a file. For a server that is not enabled the file may be
    /// missing.
    fn api_key(&self, context: &Context<'_>, enabled: bool) -> Option<SecretString> {
        let key = self.api_key.get(context);
        let file = self.api_key_file.get(context);
        match (key.is_absent(), file.is_absent()) {
            (false, false) => {
                if key.is_set() && file.is_set() {
                    file.error("give apiKey or apiKeyFile, not both");
                }
                None
            }
            (true, true) if !enabled => Some(SecretString::from("")),
            (true, true) => {
                key.error("required, but missing or empty (apiKeyFile is the alternative)");
                None
            }
            (false, true) => key.option(),
            (true, false) if !enabled => file.option().map(|_| SecretString::from("")),
            (true, false) => {
                let (path, key) = file.api_key()?;
                let path = path.to_string_lossy().into_owned();
                let content = digest(key.expose_secret().as_bytes());
                self.api_key_file.show_as(context, Value::File(path, content));
                Some(key)
            }
        }
    }

    /// Returns the proxy on the way to the server: its own, else that of the environment.
    fn proxy(&self, context: &Context<'_>, enabled: bool, address: Option<&Url>) -> Option<Proxy> {
        let own = self.proxy_url.get(context).option();
        let address = address.filter(|_| enabled);
        let proxy = own.or_else(|| context.proxies().proxy_for(address?).cloned());
        let problem = proxy.as_ref().zip(address).and_then(|(it, at)| it.unreachable(at));
        if let Some(problem) = problem {
            self.host.get(context).section_error(&problem);
        }
        proxy
    }
}
