//! `.env`: lines of `NAME=value` beside the configuration.
//!
//! Other programs have their variables in the same file, in forms of their own. So a line is judged
//! only when its variable is asked for; one that nobody asks for stops nobody.
//!
//! A value is bare, in double quotes, or in single quotes, where everything stands for itself. In
//! the others `${NAME}`, `${NAME:-default}` and `$NAME` insert a variable, `$$` and `\$` are a dollar
//! sign.

mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::diagnostics::{Cause, Diagnostic, Position};
use super::env::Environment;
use value::{Piece, value};

/// The variables of a `.env` file. No `Debug`: it holds secrets.
#[derive(Default)]
pub(crate) struct Dotenv {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
    /// Why the file could not be read, where it is there.
    unreadable: Option<String>,
}

struct Entry {
    line: usize,
    value: Result<Vec<Piece>, &'static str>,
}

impl Dotenv {
    /// Reads the lines of a file. Of several with a name the first counts.
    pub(crate) fn parse(path: &Path, content: &[u8]) -> Self {
        let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
        let text = String::from_utf8_lossy(content).replace("\r\n", "\n");
        let mut entries = BTreeMap::new();
        let mut rest = text.as_str();
        let mut line = 1;
        while !rest.is_empty() {
            let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
            let mut taken = end;
            match assignment(&rest[..end]) {
                Some((name, start)) => {
                    let value = match value(&rest[start..]) {
                        Ok((pieces, length)) => {
                            taken = start + length;
                            Ok(pieces)
                        }
                        Err(message) => Err(message),
                    };
                    entries.entry(name.to_owned()).or_insert(Entry { line, value });
                }
                None if is_blank(&rest[..end]) => {}
                None => tracing::debug!(
                    file = %path.display(),
                    line,
                    "no variable that can be inserted; the line is ignored"
                ),
            }
            line += rest[..taken].matches('\n').count();
            rest = &rest[taken..];
        }
        for Entry { line, value } in entries.values() {
            if value.is_err() {
                let file = path.display();
                tracing::debug!(%file, line, "not NAME=value; ignored unless it is referenced");
            }
        }
        Self { path: path.to_owned(), entries, unreadable: None }
    }

    /// Returns a file that is there and cannot be read: it may hold any variable.
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let unreadable = Some(error.to_string());
        Self { path: path.to_owned(), entries: BTreeMap::new(), unreadable }
    }

    /// Returns the value of a variable, if the file has it, or what is wrong with it. What the value
    /// refers to is looked up in `real` first.
    pub(crate) fn get(
        &self,
        name: &str,
        real: &dyn Environment,
    ) -> Option<Result<String, Diagnostic>> {
        self.resolve(name, real, &mut Vec::new())
    }

    /// Returns a warning where the file cannot be read.
    pub(crate) fn warning(&self) -> Option<Diagnostic> {
        let error = self.unreadable.as_ref()?;
        let message = format!("cannot read the file, so its variables are not set: {error}");
        Some(self.diagnostic(None, "", message, Cause::Unavailable))
    }

    /// Returns why a variable that is not set anywhere may be in this file all the same.
    pub(crate) fn missing(&self, name: &str) -> Option<Diagnostic> {
        let error = self.unreadable.as_ref()?;
        let message = format!("not set, and the file cannot be read: {error}");
        Some(self.diagnostic(None, name, message, Cause::Unavailable))
    }

    fn resolve<'s>(
        &'s self,
        name: &str,
        real: &dyn Environment,
        open: &mut Vec<&'s str>,
    ) -> Option<Result<String, Diagnostic>> {
        let (name, Entry { line, value }) = self.entries.get_key_value(name)?;
        let fault = |message: String| {
            let at = Position { line: *line, column: 1 };
            self.diagnostic(Some(at), name, message, Cause::Invalid)
        };
        let pieces = match value {
            Ok(pieces) => pieces,
            Err(message) => return Some(Err(fault((*message).to_owned()))),
        };
        if open.contains(&name.as_str()) {
            return Some(Err(fault("its value refers to itself".to_owned())));
        }
        open.push(name);
        let mut out = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Reference { name, default } => {
                    let found = match real.get(name) {
                        Some(value) => Some(Ok(value)),
                        None => self.resolve(name, real, open),
                    };
                    match (found, default) {
                        (Some(Err(inner)), _) => return Some(Err(inner)),
                        (Some(Ok(value)), Some(default)) if value.is_empty() => {
                            out.push_str(default);
                        }
                        (Some(Ok(value)), _) => out.push_str(&value),
                        (None, Some(default)) => out.push_str(default),
                        (None, None) => {
                            let message = format!(
                                "environment variable not set: {name}; write $$ for a dollar sign"
                            );
                            return Some(Err(fault(message)));
                        }
                    }
                }
            }
        }
        open.pop();
        Some(Ok(out))
    }

    fn diagnostic(
        &self,
        position: Option<Position>,
        name: &str,
        message: String,
        cause: Cause,
    ) -> Diagnostic {
        let origin = self.path.display().to_string();
        Diagnostic { origin, position, path: name.to_owned(), message, cause }
    }
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Returns the name that a line assigns to, and where its value begins.
fn assignment(line: &str) -> Option<(&str, usize)> {
    let (before, _) = line.split_once('=')?;
    let name = before.trim();
    let name = name.strip_prefix("export").filter(|n| n.starts_with([' ', '\t'])).unwrap_or(name);
    let name = name.trim();
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    valid.then_some((name, before.len() + 1))
}

/// `.env` below the real environment. No `Debug`: it holds secrets.
pub(crate) struct Layered<'e> {
    pub(crate) real: &'e dyn Environment,
    pub(crate) dotenv: Dotenv,
}

impl Environment for Layered<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.real.get(name).or_else(|| self.dotenv.get(name, self.real)?.ok())
    }

    fn fault(&self, name: &str) -> Option<Diagnostic> {
        if self.real.get(name).is_some() {
            return None;
        }
        match self.dotenv.get(name, self.real) {
            Some(found) => found.err(),
            None => self.dotenv.missing(name),
        }
    }
}

/// Returns where `.env` may be: beside the configuration. The working directory is anybody's.
pub(crate) fn path_beside(config: &Path) -> PathBuf {
    config.with_file_name(".env")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn real(name: &str) -> Option<String> {
        (name == "REAL").then(|| "r".to_owned())
    }

    fn get(text: &str, name: &str) -> Option<Result<String, String>> {
        let parsed = Dotenv::parse(Path::new(".env"), text.as_bytes());
        parsed.get(name, &real).map(|found| found.map_err(|fault| fault.to_string()))
    }

    #[test]
    fn values_are_bare_or_quoted() {
        let text = "\u{feff}# comment\r\nA=1\r\nexport B=\"two words\"\nA=2\nC='$x'\nD = 3 # why\n\
                    E=a#b\nF=\nG='it''s'\nH=\"a\\\"b\\$c\"\nI=a\\ b\nexport\tJ=j\nK=\"1\n2\"\nL=l\n";
        for (name, expected) in [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$x"),
            ("D", "3"),
            ("E", "a#b"),
            ("F", ""),
            ("G", "its"),
            ("H", "a\"b$c"),
            ("I", "a b"),
            ("J", "j"),
            ("K", "1\n2"),
            ("L", "l"),
        ] {
            assert_eq!(get(text, name), Some(Ok(expected.to_owned())), "{name}");
        }
        assert!(std::env::var("B").is_err());
    }

    #[test]
    fn references_are_expanded_as_in_the_configuration() {
        for (value, expected) in [
            ("a$$b", "a$b"),
            ("\"a$$b\"", "a$b"),
            ("'a$$b'", "a$$b"),
            ("${REAL}x", "rx"),
            ("$REAL/x", "r/x"),
            ("${LATER}", "later"),
            ("${UNSET:-d e}", "d e"),
            ("${EMPTY:-d}", "d"),
            ("\"${REAL} ${LATER}\"", "r later"),
            ("costs5$", "costs5$"),
            ("$5", "$5"),
        ] {
            let text = format!("V={value}\nEMPTY=\nLATER=later\n");
            assert_eq!(get(&text, "V"), Some(Ok(expected.to_owned())), "{value}");
        }
    }

    #[test]
    fn a_referenced_value_that_cannot_be_read_is_named_by_its_line() {
        for (text, expected) in [
            ("A=1\n\n# x\nV=two words\n", ".env:4:1: V: expected NAME=value; quote"),
            ("\nV=\"open\nA=1\n", ".env:2:1: V: a quote is not closed"),
            ("V=${UNSET}\n", ".env:1:1: V: environment variable not set: UNSET"),
            ("V=p$word\n", ".env:1:1: V: environment variable not set: word"),
            ("V=${B}\nB=${UNSET}\n", ".env:2:1: B: environment variable not set: UNSET"),
            ("V=${B}\nB=${V}\n", "refers to itself"),
            ("V=${UNSET\n", "without"),
            ("V=${A B}\n", "expected ${NAME}"),
            ("V=\\x\n", "a backslash must"),
        ] {
            let fault = get(text, "V").unwrap().unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
        }
        let bytes = Dotenv::parse(Path::new(".env"), b"V=\xE9\n");
        assert!(bytes.get("V", &real).unwrap().unwrap_err().message.contains("UTF-8"));
    }

    #[test]
    fn lines_of_other_programs_stop_nobody() {
        let foreign = "OTHER=has space\nFOO-BAR=1\nK={\"a\": \"b\"}\nno equals sign\nMSG=it's open\n\
                       Q=\"open\nP='open\nexport\n=x\n1A=2\nU=${UNSET}\n[section]\nz: y\n";
        for text in [format!("{foreign}KEY=\"mine\"\n"), format!("KEY='mine'\n{foreign}")] {
            assert_eq!(get(&text, "KEY"), Some(Ok("mine".to_owned())), "{text}");
        }
        assert_eq!(get(foreign, "FOO-BAR"), None);
    }

    #[test]
    fn the_real_environment_wins() {
        let real = |name: &str| (name == "A").then(|| "real".to_owned());
        let dotenv = Dotenv::parse(Path::new(".env"), b"A=file\nB=file\nC=has space\n");
        let layered = Layered { real: &real, dotenv };
        assert_eq!(layered.get("A").as_deref(), Some("real"));
        assert_eq!(layered.get("B").as_deref(), Some("file"));
        assert_eq!(layered.get("C"), None);
        assert_eq!(layered.get("D"), None);
        let faults = ["A", "B", "C", "D"].map(|name| layered.fault(name).is_some());
        assert_eq!(faults, [false, false, true, false]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(content in any::<Vec<u8>>(), text in "[A-Z=$\\{\\}'\"\\\\ #\né]{0,40}") {
            for content in [&content[..], text.as_bytes()] {
                let parsed = Dotenv::parse(Path::new(".env"), content);
                for name in parsed.entries.keys() {
                    let _ = parsed.get(name, &real);
                }
            }
        }
    }
}
