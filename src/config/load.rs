//! From a path to a configuration: `.env`, the file, its text, and what became of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::content::{self, Files, digest, hexadecimal};
use super::context::Context;
use super::diagnostics::{Diagnostic, Errors, Position, sort};
use super::env::{self, Environment, Layered};
use super::{Loaded, parse};

/// Time between the two looks at a file.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// When a file that changes all the time is taken as it is.
const LONGEST_READING: Duration = Duration::from_secs(1);

/// Reads the configuration at `path`, with `.env` of the working directory or else beside it.
///
/// Who saves a file in place empties it first and fills it bit by bit, and half a file can be a valid
/// configuration. So all files are looked at again a little later, and read anew where one differs,
/// for a second at most. Blocks for that time, and as long as the file system.
///
/// # Errors
///
/// Everything that is wrong with it.
#[expect(clippy::disallowed_methods, reason = "it reads files, so it blocks anyway")]
pub fn load(path: &Path, env: &dyn Environment) -> Result<Loaded, Errors> {
    let started = Instant::now();
    loop {
        let verdict = load_once(path, env);
        let files = match &verdict {
            Ok(loaded) => &loaded.files,
            Err(errors) => &errors.files,
        };
        std::thread::sleep(BETWEEN_LOOKS);
        if content::unchanged(files) || started.elapsed() >= LONGEST_READING {
            return verdict;
        }
    }
}

fn load_once(path: &Path, env: &dyn Environment) -> Result<Loaded, Errors> {
    let mut files = Files::new();
    let dotenv = variables(path, &mut files);
    // With both broken, both are said.
    match (dotenv, text(path, &mut files)) {
        (Ok(dotenv), Ok(text)) => {
            let env = Layered { real: env, dotenv };
            build(&text, path, &env, files, Readable::of(path))
        }
        (dotenv, text) => {
            let diagnostics = [dotenv.err(), text.err()].into_iter().flatten().collect();
            Err(Errors { diagnostics, files, endpoint: None })
        }
    }
}

/// Reads a configuration from text. `origin` names it in messages; files that it names are relative
/// to the directory of `origin`. No `.env` is read.
pub fn from_text(text: &str, origin: &Path, env: &dyn Environment) -> Result<Loaded, Errors> {
    build(text, origin, env, Files::new(), Readable::ByFew)
}

fn build(
    text: &str,
    origin: &Path,
    env: &dyn Environment,
    files: Files,
    readable: Readable,
) -> Result<Loaded, Errors> {
    let base = origin.parent().filter(|parent| !parent.as_os_str().is_empty());
    let base = base.unwrap_or(Path::new("."));
    let base = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
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
    sort(&mut errors);
    sort(&mut warnings);
    match config {
        Some(config) if errors.is_empty() => {
            let sha256 = hexadecimal(&digest(text.as_bytes()));
            Ok(Loaded { config, warnings, sha256, files })
        }
        config => {
            let endpoint = config.map(|config| config.http);
            Err(Errors { diagnostics: errors, files, endpoint })
        }
    }
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

/// The variables of the `.env` file that counts for the configuration at `config`; none without one.
fn variables(config: &Path, files: &mut Files) -> Result<BTreeMap<String, String>, Diagnostic> {
    for path in env::dotenv_paths(config) {
        if !path.is_file() {
            content::note(&path, None, files);
            continue;
        }
        let content =
            content::read_noted(&path, files).map_err(|error| unreadable(&path, &error))?;
        return env::parse(&content).map_err(|at| {
            let message = "expected NAME=value; quote values with spaces";
            fault(&path, Some(at), message.to_owned())
        });
    }
    Ok(BTreeMap::new())
}

/// The text of the configuration file.
fn text(path: &Path, files: &mut Files) -> Result<String, Diagnostic> {
    let content = content::read_noted(path, files).map_err(|error| unreadable(path, &error))?;
    if content.starts_with(b"\xFF\xFE") || content.starts_with(b"\xFE\xFF") {
        return Err(fault(path, None, "the file is UTF-16; save it as UTF-8".to_owned()));
    }
    String::from_utf8(content).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default());
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        let at = Position { line, column };
        fault(path, Some(at), "not valid UTF-8 from here on".to_owned())
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    fault(path, None, format!("cannot read the file: {error}"))
}

fn fault(path: &Path, position: Option<Position>, message: String) -> Diagnostic {
    Diagnostic { origin: path.display().to_string(), position, path: String::new(), message }
}
