//! The environment that the configuration sees: the real one first, then `.env`. Nothing is ever
//! put into the process's own environment.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::diagnostics::Position;

/// Looks up environment variables. Closures are environments, so tests need not touch the process.
pub trait Environment {
    /// The value of a variable, if it is set.
    fn get(&self, name: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Environment for F {
    fn get(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// The environment of this process. A value that is not UTF-8 counts as not set.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// `.env` below the real environment. No `Debug`: it holds secrets.
pub(super) struct Layered<'e> {
    pub(super) real: &'e dyn Environment,
    pub(super) dotenv: BTreeMap<String, String>,
}

impl Environment for Layered<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.real.get(name).or_else(|| self.dotenv.get(name).cloned())
    }
}

/// The variables of a `.env` file; of several with a name the first counts.
pub(super) fn parse(content: &[u8]) -> Result<BTreeMap<String, String>, Position> {
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    let mut lines = Lines { rest: content, given: 0 };
    let mut variables = BTreeMap::new();
    for item in dotenvy::Iter::new(&mut lines) {
        match item {
            Ok((name, value)) => {
                variables.entry(name).or_insert(value);
            }
            // The error quotes the line, and `Iter` holds the reader: count again below.
            Err(_) => return Err(Position { line: faulty_line(content), column: 1 }),
        }
    }
    Ok(variables)
}

/// The line on which the first entry that cannot be read ends.
fn faulty_line(content: &[u8]) -> usize {
    let mut lines = Lines { rest: content, given: 0 };
    let _ = dotenvy::Iter::new(&mut lines).find(Result::is_err);
    lines.given.max(1)
}

/// Gives one line for each read, so that the number given is the number that was consumed.
struct Lines<'c> {
    rest: &'c [u8],
    given: usize,
}

impl Read for &mut Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line =
            self.rest.iter().position(|byte| *byte == b'\n').map_or(self.rest.len(), |n| n + 1);
        let length = line.min(buffer.len());
        let (now, later) = self.rest.split_at(length);
        buffer[..length].copy_from_slice(now);
        if length == line && length > 0 {
            self.given += 1;
        }
        self.rest = later;
        Ok(length)
    }
}

/// Where `.env` may be: in the working directory, else beside the configuration.
pub(super) fn dotenv_paths(config: &Path) -> impl Iterator<Item = PathBuf> {
    let beside = config.parent().map(|directory| directory.join(".env"));
    [Some(".env".into()), beside].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_dotenv_is_read_without_touching_the_process() {
        let text = b"\xEF\xBB\xBF# comment\r\nA=1\r\nexport B=\"two words\"\nA=2\nC='$x'\n";
        let variables = parse(text).unwrap();
        assert_eq!(variables["A"], "1");
        assert_eq!(variables["B"], "two words");
        assert_eq!(variables["C"], "$x");
        assert!(std::env::var("B").is_err());
    }

    #[test]
    fn a_malformed_line_is_named_by_its_number() {
        for (text, line) in [
            ("A=1\nno equals sign\n", 2),
            ("A=1\n\n# x\nB=two words\nC=1\n", 4),
            ("A=1\nB=\"open\nC=1\n", 3),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().line, line, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(content in any::<Vec<u8>>(), text in "[A-Z=$\\{\\}'\"\\\\ #\n]{0,40}") {
            let _ = parse(&content);
            let _ = parse(text.as_bytes());
        }
    }

    #[test]
    fn the_real_environment_wins() {
        let real = |name: &str| (name == "A").then(|| "real".to_owned());
        let dotenv = [("A", "file"), ("B", "file")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let layered = Layered { real: &real, dotenv: dotenv.into() };
        assert_eq!(layered.get("A").as_deref(), Some("real"));
        assert_eq!(layered.get("B").as_deref(), Some("file"));
        assert_eq!(layered.get("C"), None);
    }
}
