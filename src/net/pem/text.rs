//! The content of a file as text, in the encodings and wrappings that occur in practice.

use std::fmt;

use serde_json::Value;

/// The error of a file that cannot be used. It shows nothing of the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PemError {
    /// The line at fault, from 1; `None` if no single line is.
    line: Option<usize>,
    problem: String,
}

impl PemError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { line: None, problem: problem.into() }
    }
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

/// The text of a file, whose lines can be counted.
pub(super) struct Text {
    text: String,
    /// True if lines of the text are lines of the file.
    has_lines: bool,
}

impl Text {
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn find(&self, mark: &str) -> Option<usize> {
        self.text.find(mark)
    }

    /// Makes an error of what is at this offset.
    pub(super) fn error(&self, at: usize, problem: impl Into<String>) -> PemError {
        let line = 1 + self.text[..at].matches('\n').count();
        PemError { line: self.has_lines.then_some(line), problem: problem.into() }
    }
}

/// Makes text of a file, or says what it is instead.
pub(super) fn as_text(content: &[u8]) -> Result<Text, PemError> {
    let text = match content {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        // The beginning of any certificate, key or PKCS #12 file in DER.
        [0x30, 0x80..=0x84, ..] => {
            return Err(PemError::new(
                "binary (DER or PKCS #12), not PEM: convert a certificate with openssl x509 \
                 -inform der -in FILE -out NEW, a key with openssl pkey, a .p12 or .pfx file with \
                 openssl pkcs12",
            ));
        }
        _ => String::from_utf8_lossy(content).into_owned(),
    };
    if text.trim().is_empty() {
        return Err(PemError::new("the file is empty"));
    }
    if text.trim_start().starts_with(['{', '[', '"']) {
        return from_json(&text);
    }
    // Copied out of JSON or a variable, line ends are written as two characters.
    let escaped = text.contains("-----\\n") || text.contains("-----\\r\\n");
    let text = if escaped { text.replace("\\r", "").replace("\\n", "\n") } else { text };
    Ok(Text { text, has_lines: !escaped })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, PemError> {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    String::from_utf16(&units)
        .map_err(|_| PemError::new("not text: save it as UTF-8 without a byte order mark"))
}

/// Extracts the PEM from a JSON document such as NetBackup's answer at `/security/cacert`.
fn from_json(text: &str) -> Result<Text, PemError> {
    let Ok(document) = serde_json::from_str::<Value>(text) else {
        // Text around the marks may begin with anything.
        if text.lines().any(|line| line.trim_start().starts_with("-----BEGIN")) {
            return Ok(Text { text: text.to_owned(), has_lines: true });
        }
        return Err(PemError::new(
            "starts like JSON but is not valid JSON; expected PEM, or the unchanged response of \
             /security/cacert",
        ));
    };
    let mut pem = String::new();
    collect(&document, &mut pem);
    if pem.is_empty() {
        return Err(PemError::new(
            "a JSON document without PEM in it; expected PEM, or the unchanged response of \
             /security/cacert",
        ));
    }
    Ok(Text { text: pem, has_lines: false })
}

fn collect(value: &Value, pem: &mut String) {
    match value {
        Value::String(text) if text.contains("-----BEGIN") => {
            pem.push_str(text);
            pem.push('\n');
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, pem)),
        Value::Object(members) => members.values().for_each(|value| collect(value, pem)),
        _ => {}
    }
}
