//! The web configuration file of Prometheus exporters, as their toolkit documents it. A key of it that this agent
//! cannot honour is an error; none is ignored that would make the endpoint safer.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::kinds::{AnyText, Choice, Flag, Named, Number, Text, free_text, kinds, plain};
use super::shape::schema_of;
use super::tls::private_key;
use super::web_rules::{COSTLY, header_fields, made, path_of, roots};
use crate::config::entries::{REDACTED, Value};
use crate::config::fingerprint::digest;
use crate::config::yaml::context::Context;
use crate::config::yaml::diagnostics::Position;
use crate::config::yaml::document;
use crate::config::yaml::section;
use crate::config::yaml::setting::{Key, List, Pairs, Setting};
use crate::config::yaml::tree::{self, Node};
use crate::config::yaml::values::{Parsed, duration, format_duration};
use crate::http::{
    self, ClientPolicy, ClientRoots, GROUPS, Material, Rate, TlsPart, Users, Version, cipher_suites,
};
use crate::net::pem;
use crate::net::roots::SystemRoots;
use crate::net::tls::{Identity, PemFile};

#[derive(Deserialize, JsonSchema)]
struct File {
    tls_server_config: TlsServer,
    http_server_config: HttpServer,
    basic_auth_users: Key<Pairs<Inline>>,
    rate_limit: RateLimit,
}

#[derive(Deserialize, JsonSchema)]
struct TlsServer {
    cert: Key<Inline>,
    key: Key<Inline>,
    client_ca: Key<Inline>,
    cert_file: Key<Text>,
    key_file: Key<Text>,
    client_ca_file: Key<Text>,
    client_auth_type: Key<Choice<ClientAuthType>>,
    client_allowed_sans: Key<List<Text>>,
    #[schemars(extend("default" = "TLS12"))]
    min_version: Key<TlsVersion>,
    #[schemars(extend("default" = "TLS13"))]
    max_version: Key<TlsVersion>,
    cipher_suites: Key<List<CipherSuite>>,
    curve_preferences: Key<List<Curve>>,
    /// Accepted and without an effect, as in the toolkit.
    prefer_server_cipher_suites: Key<Flag>,
}

#[derive(Deserialize, JsonSchema)]
struct HttpServer {
    /// Accepted: it permits HTTP/2, and does not ask for it. HTTP/1.1 is what the endpoint speaks.
    http2: Key<Flag>,
    headers: Key<Pairs<AnyText>>,
}

#[derive(Deserialize, JsonSchema)]
struct RateLimit {
    interval: Key<Pace>,
    burst: Key<Number<0, 1_000_000>>,
}

/// Policies about the certificate of a client, by their names in Go.
#[derive(Clone, Copy, PartialEq)]
struct ClientAuthType(ClientPolicy);

impl Named for ClientAuthType {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("NoClientCert", Self(ClientPolicy::None)),
        ("RequestClientCert", Self(ClientPolicy::Request)),
        ("RequireAnyClientCert", Self(ClientPolicy::RequireAny)),
        ("RequireClientCert", Self(ClientPolicy::RequireAny)),
        ("VerifyClientCertIfGiven", Self(ClientPolicy::VerifyIfGiven)),
        ("RequireAndVerifyClientCert", Self(ClientPolicy::RequireAndVerify)),
    ];
}

kinds! {
    /// A secret of several lines.
    Inline(true): SecretString, |text: &str| Ok(SecretString::from(text.to_owned())), |value: &SecretString| {
        Value::Secret(REDACTED.to_owned(), digest(value.expose_secret().as_bytes()))
    }, free_text();
    /// A duration, of which 0 is none.
    Pace: Duration, pace, |time: &Duration| plain(&format_duration(*time)), free_text();
    TlsVersion: Version, tls_version, |version: &Version| plain(match version {
        Version::Tls12 => "TLS12",
        Version::Tls13 => "TLS13",
    }), free_text();
    /// A cipher suite that the agent's TLS has.
    CipherSuite: String, cipher_suite, plain, free_text();
    /// A group of key exchange that the agent's TLS has.
    Curve: String, curve, plain, free_text();
}

fn pace(text: &str) -> Parsed<Duration> {
    if text.trim().trim_end_matches(['h', 'm', 's']) == "0" {
        Ok(Duration::ZERO)
    } else {
        duration(text)
    }
}

fn tls_version(text: &str) -> Parsed<Version> {
    match text.trim() {
        "TLS12" => Ok(Version::Tls12),
        "TLS13" => Ok(Version::Tls13),
        _ => Err("expected TLS12 or TLS13; older versions are not supported".into()),
    }
}

fn cipher_suite(text: &str) -> Parsed<String> {
    let suites = cipher_suites();
    match suites.iter().find(|suite| *suite == text.trim()) {
        Some(suite) => Ok(suite.clone()),
        None => Err(format!("not supported; expected one of {}", suites.join(", ")).into()),
    }
}

fn curve(text: &str) -> Parsed<String> {
    match GROUPS.iter().find(|group| **group == text.trim()) {
        Some(group) => Ok((*group).to_owned()),
        None => Err(format!("not supported; expected one of {}", GROUPS.join(", ")).into()),
    }
}

static SCHEMA: LazyLock<Json> = LazyLock::new(schema_of::<File>);

/// Reads the file that the setting names; `None` where it is wrong, which is reported.
pub(super) fn read(setting: &Setting<'_, Text>) -> Option<http::Web> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| "not valid UTF-8");
    let (path, text) = setting.read(text)?;
    let context = setting.context.of_file(&path);
    let rules = rules(&context, &path, &text);
    let mut content = Sha256::new_with_prefix(text);
    // What its files hold is in force with it.
    for (path, seen) in context.files.borrow().iter() {
        content.update(path.as_os_str().as_encoded_bytes());
        content.update(seen.unwrap_or_default());
    }
    let path = path.to_string_lossy().into_owned();
    setting.key.show_as(setting.context, Value::File(path, content.finalize().into()));
    setting.context.absorb(context);
    rules
}

fn rules(context: &Context<'_>, path: &Path, text: &str) -> Option<http::Web> {
    let beginning = Position { line: 1, column: 1 };
    let empty = || Node { value: tree::Value::Map(Vec::new()), position: beginning };
    let root = document::tree(context, text).ok()?.unwrap_or_else(empty);
    let file: File = section::read(context, root, &SCHEMA)?;
    // Their kinds are checked, and that is all.
    let _ = (
        file.tls_server_config.prefer_server_cipher_suites.get(context),
        file.http_server_config.http2.get(context),
    );
    Some(http::Web {
        tls: file.tls_server_config.get(context, path),
        users: users(&file.basic_auth_users.get(context)),
        rate: file.rate_limit.get(context),
        headers: header_fields(&file.http_server_config.headers.get(context)),
        ..http::Web::default()
    })
}

fn users(setting: &Setting<'_, Pairs<Inline>>) -> Users {
    let mut users = Users::default();
    for pair in setting.given().unwrap_or_default() {
        if let Err(message) = users.add(&pair.name, pair.value.expose_secret()) {
            setting.context.error(pair.position, &path_of(setting, &pair.name), message);
        }
    }
    if users.is_costly() {
        setting.warn(COSTLY);
    }
    users
}

impl RateLimit {
    fn get(&self, context: &Context<'_>) -> Option<Rate> {
        let (interval, burst) = (self.interval.get(context), self.burst.get(context));
        let time = interval.given().filter(|time| *time > Duration::ZERO)?;
        let Some(burst_size) =
            burst.given().and_then(|burst| u32::try_from(burst).ok()).filter(|burst| *burst > 0)
        else {
            burst.section_error(
                "expected at least 1: with a burst of none, every request is refused",
            );
            return None;
        };
        Some(Rate { interval: time, burst: burst_size })
    }
}

/// A file or the same text inline.
struct Source<'c> {
    file: Setting<'c, Text>,
    inline: Setting<'c, Inline>,
}

impl<'c> Source<'c> {
    fn new(context: &'c Context<'c>, file: Key<Text>, inline: Key<Inline>) -> Self {
        Self { file: file.get(context), inline: inline.get(context) }
    }

    fn is_absent(&self) -> bool {
        self.file.is_absent() && self.inline.is_absent()
    }

    fn certificates(&self, path: &Path) -> Option<PemFile> {
        if !self.file.is_absent() {
            return self.file.certificates();
        }
        let text = self.inline.given()?;
        match pem::certificates(text.expose_secret().as_bytes()) {
            Ok(found) => Some(PemFile { path: path.to_owned(), pem: pem::write(&found) }),
            Err(fault) => {
                self.error(&fault.to_string());
                None
            }
        }
    }

    fn error(&self, message: &str) {
        if self.file.is_absent() { self.inline.error(message) } else { self.file.error(message) }
    }
}

impl TlsServer {
    fn get(&self, context: &Context<'_>, path: &Path) -> Option<http::Tls> {
        let certificate = Source::new(context, self.cert_file, self.cert);
        let key = Source::new(context, self.key_file, self.key);
        let client_ca = Source::new(context, self.client_ca_file, self.client_ca);
        let policy = self.client_auth_type.get(context);
        let names = self.client_allowed_sans.get(context);
        let (min, max) = (self.min_version.get(context), self.max_version.get(context));
        let suites = self.cipher_suites.get(context);
        let groups = self.curve_preferences.get(context);
        let all = [&certificate, &key, &client_ca];
        if all.into_iter().all(Source::is_absent) && policy.is_absent() {
            return None;
        }
        for source in all {
            if !source.file.is_absent() && !source.inline.is_absent() {
                source.inline.warn("without an effect: the file counts");
            }
        }
        for (source, names) in [(&certificate, "cert_file or cert"), (&key, "key_file or key")] {
            if source.is_absent() {
                source.file.section_error(&format!("missing: TLS takes {names}"));
            }
        }
        let certificates = certificate.certificates(path);
        let key_found = if key.file.is_absent() {
            let inline = key.inline.given();
            inline.and_then(|text| match private_key(text.expose_secret().as_bytes()) {
                Ok(key) => Some((path.to_owned(), key)),
                Err(fault) => {
                    key.error(&fault);
                    None
                }
            })
        } else {
            key.file.private_key()
        };
        let policy_given =
            policy.given().map_or(ClientPolicy::None, |ClientAuthType(policy)| policy);
        let client_roots = if client_ca.is_absent() && policy_given.verifies() {
            // As in Go.
            policy.warn(
                "every client with a certificate of a public CA is let in: set client_ca_file",
            );
            Some(ClientRoots { store: SystemRoots::read().store(), listed: Vec::new() })
        } else {
            let file = client_ca.certificates(path);
            file.and_then(|file| roots(&file, |fault| client_ca.error(fault)))
        };
        let (certificates, (key_path, key_text)) = certificates.zip(key_found)?;
        let identity = Identity { certificate: certificates, key_path, key: key_text };
        let material = Material {
            policy: policy_given,
            client_roots,
            client_names: names.given().unwrap_or_default(),
            min_version: min.value()?,
            max_version: max.value()?,
            cipher_suites: suites.given().unwrap_or_default(),
            groups: groups.given().unwrap_or_default(),
            ..Material::new(identity)
        };
        made(&material, &certificate.file, |part, message| match part {
            TlsPart::Certificate => certificate.error(message),
            TlsPart::Key => key.error(message),
            TlsPart::ClientPolicy => policy.error(message),
            TlsPart::ClientCa => client_ca.error(message),
            TlsPart::ClientNames => names.error(message),
            TlsPart::Versions => max.error(message),
        })
    }
}
