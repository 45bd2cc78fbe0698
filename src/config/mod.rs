//! The configuration file: read, expanded, parsed, validated; every error at once.
//!
//! Text becomes a tree with places (`tree`), variables are inserted (`expand`), and each section asks
//! the tree for its keys (`reader`). To add a key, ask for it in the file of its section, print it in
//! `effective`, and document it in `config.example.yaml`; tests hold the three together.

mod collectors;
mod diagnostics;
mod effective;
mod endpoint;
mod env;
mod expand;
mod files;
pub mod logging;
mod opentelemetry;
mod reader;
mod safe;
mod server;
mod servers;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;
mod values;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use self::diagnostics::{Diagnostic, Errors, Position};
pub use self::effective::effective;
pub use self::env::{Environment, ProcessEnvironment};
pub use self::safe::SafeConfig;

use self::env::Layered;
use self::expand::Faults;
use self::reader::{Context, Section};
use self::tree::Document;
use crate::{http, netbackup, poller, telemetry};

/// The whole configuration, validated. Modules own their parts; this composes them.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the Prometheus endpoint listens.
    pub http: http::Config,
    /// The agent's own log.
    pub log: logging::Config,
    /// When servers are polled.
    pub polling: poller::Config,
    /// The primary servers that are enabled, in the order of the file.
    pub servers: Vec<netbackup::Config>,
    /// Site to the file that holds its API key, where the key is not in the configuration itself.
    pub key_files: BTreeMap<String, PathBuf>,
    /// What is collected.
    pub collectors: crate::collectors::Config,
    /// Limits of the export.
    pub metrics: telemetry::Config,
    /// The OTLP push, where it is enabled.
    pub otlp: Option<telemetry::otlp::Config>,
}

/// A configuration that is valid, and what was learnt on the way.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed and unwise.
    pub warnings: Vec<Diagnostic>,
    /// SHA-256 of the configuration file as it was read, hexadecimal.
    pub sha256: String,
    /// Every file that was read: the configuration, keys, CAs, `.env`.
    pub files: Vec<PathBuf>,
}

/// Reads the configuration at `path`, with `.env` of the working directory or else beside it.
pub fn load(path: &Path, env: &dyn Environment) -> Result<Loaded, Errors> {
    let mut dotenv = BTreeMap::new();
    let mut files = vec![path.to_owned()];
    let fail = |origin: &Path, position, message, files| Errors {
        diagnostics: vec![Diagnostic {
            origin: origin.display().to_string(),
            position,
            path: String::new(),
            message,
        }],
        files,
    };
    let cannot = |error| format!("cannot read the file: {error}");
    if let Some(file) = env::dotenv_path(path) {
        files.push(file.clone());
        let content = match files::read(&file) {
            Ok(content) => content,
            Err(error) => return Err(fail(&file, None, cannot(error), files)),
        };
        dotenv = match env::parse(&content) {
            Ok(variables) => variables,
            Err(at) => {
                let message = "expected NAME=value; quote values with spaces".to_owned();
                return Err(fail(&file, Some(at), message, files));
            }
        };
    }
    let content = match files::read(path) {
        Ok(content) => content,
        Err(error) => return Err(fail(path, None, cannot(error), files)),
    };
    let text = match text(&content) {
        Ok(text) => text,
        Err((position, message)) => return Err(fail(path, position, message.to_owned(), files)),
    };
    let readable = Readable::of(path);
    build(text, path, &Layered { real: env, dotenv }, files, readable)
}

/// Reads a configuration from text. `origin` names it in messages; files that it names are relative
/// to the directory of `origin`. No `.env` is read.
pub fn from_text(text: &str, origin: &Path, env: &dyn Environment) -> Result<Loaded, Errors> {
    build(text, origin, env, Vec::new(), Readable::ByFew)
}

/// Every key that the schema knows, such as `nbuservers[].port`, sorted.
pub fn keys() -> Vec<String> {
    let env = |_: &str| None;
    let context = Context::new(String::new(), PathBuf::new(), &env);
    if let Ok(Document { root: Some(root), .. }) = tree::parse("nbuservers: [{}]\nnbuserver: {}") {
        read(Section::root(&context, &root));
    }
    context.keys.into_inner().into_iter().collect()
}

/// Who can read the file that may hold keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readable {
    ByFew,
    ByEverybody,
}

impl Readable {
    #[cfg(unix)]
    fn of(path: &Path) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o004 == 0 { Self::ByFew } else { Self::ByEverybody }
    }

    #[cfg(not(unix))]
    fn of(_: &Path) -> Self {
        Self::ByFew
    }
}

/// The text of a file, or where it stops being text.
fn text(content: &[u8]) -> Result<&str, (Option<Position>, &'static str)> {
    if content.starts_with(b"\xFF\xFE") || content.starts_with(b"\xFE\xFF") {
        return Err((None, "the file is UTF-16; save it as UTF-8"));
    }
    std::str::from_utf8(content).map_err(|error| {
        let before = content.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |n| n + 1);
        let column =
            1 + String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count();
        (Some(Position { line, column }), "not valid UTF-8 from here on")
    })
}

fn build(
    text: &str,
    origin: &Path,
    env: &dyn Environment,
    files: Vec<PathBuf>,
    readable: Readable,
) -> Result<Loaded, Errors> {
    let base = origin.parent().unwrap_or(Path::new("")).to_owned();
    let context = Context::new(origin.display().to_string(), base, env);
    *context.files.borrow_mut() = files;
    let config = parse(text, &context);
    if let (Readable::ByEverybody, Some(at)) = (readable, context.literal_secret.get()) {
        let message = "a secret is spelt out in a file that everybody can read; chmod o-r it, or \
                       use ${NAME} or apiKeyFile";
        context.warn(at, "", message);
    }
    let mut errors = context.errors.into_inner();
    let mut warnings = context.warnings.into_inner();
    let files = context.files.into_inner();
    diagnostics::sort(&mut errors);
    diagnostics::sort(&mut warnings);
    match config {
        Some(config) if errors.is_empty() => {
            let sha256 = Sha256::digest(text.as_bytes());
            let sha256 = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(Loaded { config, warnings, sha256, files })
        }
        _ => Err(Errors { diagnostics: errors, files }),
    }
}

/// The configuration in `text`; errors are in the context.
fn parse(text: &str, context: &Context<'_>) -> Option<Config> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Document { root, problems } = match tree::parse(text) {
        Ok(document) => document,
        Err(problem) => {
            context.problem(problem);
            return None;
        }
    };
    let empty = |root: &tree::Node| matches!(root.value, tree::Value::Null);
    let Some(mut root) = root.filter(|root| !empty(root)) else {
        context.file_error("the file is empty; it takes at least nbuservers");
        return None;
    };
    let mut faults = Faults::default();
    expand::expand(&mut root, context.env, &mut faults);
    problems.into_iter().chain(faults.into_problems()).for_each(|problem| context.problem(problem));
    if !matches!(root.value, tree::Value::Map(_)) {
        let message = "expected a mapping of sections (server, nbuservers, ...)";
        context.error(root.position, "", message);
        return None;
    }
    Some(read(Section::root(context, &root)))
}

/// Asks for every key.
fn read(mut root: Section<'_>) -> Config {
    let server::Server { http, log, polling } = server::read(&mut root);
    let servers::Servers { enabled, key_files } = servers::read(&mut root);
    Config {
        http,
        log,
        polling,
        servers: enabled,
        key_files,
        collectors: collectors::read(&mut root),
        metrics: server::metrics(&mut root),
        otlp: opentelemetry::read(&mut root),
    }
}
