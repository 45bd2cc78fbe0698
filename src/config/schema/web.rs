//! `server.web`: who may ask the endpoint, and how.

use std::path::Path;

use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::kinds::{AnyText, Choice, Flag, Named, Text};
use super::web_file;
use super::web_rules::{COSTLY, header_fields, made, roots};
use crate::config::entries::Value;
use crate::config::fingerprint::digest;
use crate::config::yaml::context::Context;
use crate::config::yaml::setting::{Key, Kind, List, Pairs, Setting};
use crate::http::{self, ClientPolicy, Material, TlsPart, Token, Users, Version};
use crate::net::tls::{Identity, PemFile};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Web {
    /// TLS 1.2 and 1.3. With it, requests in plain text are refused.
    tls: Tls,
    /// Users for basic authentication, lines of `name:hash` with bcrypt hashes as `htpasswd -B` writes them.
    #[schemars(extend("x-default" = "none: no password is asked for"))]
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/users"], "x-change" = "at the next request"))]
    users_file: Key<Text>,
    /// Bearer tokens, one a line; each is as good as a user with password. Two of them let a token be replaced.
    #[schemars(extend("x-default" = "none: no token is asked for"))]
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/tokens"], "x-change" = "at the next request"))]
    bearer_token_file: Key<Text>,
    /// Bearer token for `/-/reload`. With it, no other token and no password counts there.
    #[schemars(extend("x-default" = "none: as everywhere else"))]
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/reload-token"], "x-change" = "at the next request"))]
    reload_token_file: Key<Text>,
    /// Answer `/-/healthy` and `/-/ready` without credentials. Where a client certificate is required, the handshake
    /// comes first: use `server.health.port`.
    #[schemars(extend("default" = false, "x-change" = "at the next request"))]
    open_health: Key<Flag>,
    /// Header fields of every response: `Content-Security-Policy`, `Strict-Transport-Security`, `X-Content-Type-Options`
    /// (`nosniff`, which is sent anyway), `X-Frame-Options` (`deny` or `sameorigin`), `X-XSS-Protection`.
    #[schemars(extend("x-default" = "none"))]
    #[schemars(extend("examples" = [{"Strict-Transport-Security": "max-age=31536000"}]))]
    #[schemars(extend("x-change" = "at the next request"))]
    headers: Key<Pairs<AnyText>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Tls {
    /// PEM file of the endpoint's certificate, with those of its intermediate CAs behind it; always together with
    /// `keyFile`.
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/endpoint.pem"], "x-change" = "at the next handshake"))]
    cert_file: Key<Text>,
    /// PEM file of its private key.
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/endpoint-key.pem"], "x-change" = "at the next handshake"))]
    key_file: Key<Text>,
    /// Certificates of clients: `none` (not asked for), `request`, `requireAny` (of whatever CA), `verifyIfGiven`,
    /// `requireAndVerify`.
    #[schemars(extend("x-default" = "`requireAndVerify` with `clientCaFile`, else `none`"))]
    #[schemars(extend("examples" = ["requireAndVerify"], "x-change" = "at the next handshake"))]
    client_auth: Key<Choice<ClientPolicy>>,
    /// PEM file of the CAs of clients.
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/client-ca.pem"], "x-change" = "at the next handshake"))]
    client_ca_file: Key<Text>,
    /// Names of which a client's certificate must have one: DNS names, e-mail addresses, IP addresses or URIs, exactly as in
    /// its Subject Alternative Names.
    #[schemars(extend("x-default" = "any name"))]
    #[schemars(extend("examples" = [["prometheus.example.com"]], "x-change" = "at the next handshake"))]
    client_allowed_sans: Key<List<Text>>,
    /// Oldest version of TLS that is offered: `TLS12` or `TLS13`.
    #[schemars(extend("default" = "TLS12", "x-change" = "at the next handshake"))]
    min_version: Key<Choice<Version>>,
}

impl Named for ClientPolicy {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("request", Self::Request),
        ("requireAny", Self::RequireAny),
        ("verifyIfGiven", Self::VerifyIfGiven),
        ("requireAndVerify", Self::RequireAndVerify),
    ];
}

impl Named for Version {
    const NAMES: &'static [(&'static str, Self)] =
        &[("TLS12", Self::Tls12), ("TLS13", Self::Tls13)];
}

/// Reads the rules; `None` where they are wrong.
pub(super) fn read(context: &Context<'_>, web: &Web, file: Key<Text>) -> Option<http::Web> {
    let file = file.get(context);
    let mut rules = if file.is_set() {
        web.refuse_beside_file(context);
        web_file::read(&file)?
    } else {
        http::Web {
            tls: web.tls.get(context),
            users: web.users(context),
            headers: header_fields(&web.headers.get(context)),
            ..http::Web::default()
        }
    };
    rules.tokens = lines(&web.bearer_token_file.get(context), usize::MAX);
    rules.reload_token = lines(&web.reload_token_file.get(context), 1).pop();
    rules.open_health = web.open_health.get(context).value()?;
    Some(rules)
}

impl Web {
    /// Reports what has its place in the web configuration file.
    fn refuse_beside_file(&self, context: &Context<'_>) {
        let Tls {
            cert_file,
            key_file,
            client_auth,
            client_ca_file,
            client_allowed_sans,
            min_version,
        } = &self.tls;
        for file in [cert_file, key_file, client_ca_file, &self.users_file] {
            refuse_beside_file(&file.get(context));
        }
        refuse_beside_file(&client_auth.get(context));
        refuse_beside_file(&client_allowed_sans.get(context));
        let min_version = min_version.get(context);
        // A default that is spelt out contradicts nothing.
        if min_version.given() != Some(Version::Tls12) {
            refuse_beside_file(&min_version);
        }
        refuse_beside_file(&self.headers.get(context));
    }

    fn users(&self, context: &Context<'_>) -> Users {
        let setting = self.users_file.get(context);
        let Some((path, (text, users))) = setting.read(users) else { return Users::default() };
        show(&setting, &path, text.as_bytes());
        if users.is_costly() {
            setting.warn(COSTLY);
        }
        users
    }
}

fn refuse_beside_file<K: Kind>(setting: &Setting<'_, K>) {
    if setting.is_set() {
        setting.error("not beside webConfigFile, which has a place for it; remove one of them");
    }
}

fn show(setting: &Setting<'_, Text>, path: &Path, content: &[u8]) {
    let path = path.to_string_lossy().into_owned();
    setting.key.show_as(setting.context, Value::File(path, digest(content)));
}

/// Reads the lines of a file of users.
fn users(bytes: &[u8]) -> Result<(String, Users), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the file is not text (UTF-8)")?;
    let mut users = Users::default();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |problem: &str| format!("line {number}: {problem}");
        let (name, hash) = line.split_once(':').ok_or_else(|| fault("expected name:hash"))?;
        if users.has(name) {
            return Err(fault("a user of an earlier line"));
        }
        users.add(name, hash).map_err(fault)?;
    }
    if users.is_empty() {
        // An endpoint with a file of users must not become one without passwords.
        return Err("the file has no user; expected lines of name:hash".to_owned());
    }
    Ok((text.to_owned(), users))
}

/// Reads the file of tokens that a setting names: at least one, at most `most`.
fn lines(setting: &Setting<'_, Text>, most: usize) -> Vec<Token> {
    let read = setting.read(|bytes| {
        let text = std::str::from_utf8(bytes).map_err(|_| "the file is not text (UTF-8)")?;
        let tokens: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if tokens.iter().any(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err("expected tokens of visible ASCII characters, without spaces");
        }
        match tokens.len() {
            0 => Err("the file is empty"),
            count if count > most => Err("expected one token, found several lines"),
            _ => Ok((text.to_owned(), tokens.into_iter().map(Token::new).collect())),
        }
    });
    let Some((path, (text, tokens))) = read else { return Vec::new() };
    show(setting, &path, text.as_bytes());
    tokens
}

impl Tls {
    fn get(&self, context: &Context<'_>) -> Option<http::Tls> {
        let (certificate, key) = (self.cert_file.get(context), self.key_file.get(context));
        let (policy, ca) = (self.client_auth.get(context), self.client_ca_file.get(context));
        let (names, version) =
            (self.client_allowed_sans.get(context), self.min_version.get(context));
        if certificate.is_absent() && key.is_absent() {
            if ca.is_set() || policy.is_set() || names.is_set() {
                certificate.section_error("missing: the other keys of this section need it");
            }
            return None;
        }
        if certificate.is_absent() || key.is_absent() {
            let (there, missing) =
                if key.is_absent() { (&certificate, "keyFile") } else { (&key, "certFile") };
            there.error(&format!("takes {missing} too, which is missing"));
            return None;
        }
        let read = certificate.certificates().zip(key.private_key());
        let client_ca = ca.certificates();
        let client_roots = client_ca.as_ref().and_then(|file| roots(file, |fault| ca.error(fault)));
        let (chain, (key_path, key_text)) = read?;
        show(&certificate, &chain.path, &chain.pem);
        show(&key, &key_path, key_text.expose_secret().as_bytes());
        if let Some(PemFile { path, pem }) = &client_ca {
            show(&ca, path, pem);
        }
        let with_ca = if ca.is_set() { ClientPolicy::RequireAndVerify } else { ClientPolicy::None };
        let material = Material {
            min_version: version.value()?,
            policy: policy.or(with_ca),
            client_roots,
            client_names: names.option().unwrap_or_default(),
            ..Material::new(Identity { certificate: chain, key_path, key: key_text })
        };
        made(&material, &certificate, |part, message| match part {
            TlsPart::Certificate => certificate.error(message),
            TlsPart::Key => key.error(message),
            TlsPart::ClientPolicy => policy.error(message),
            TlsPart::ClientCa => ca.error(message),
            TlsPart::ClientNames => names.error(message),
            TlsPart::Versions => version.error(message),
        })
    }
}
