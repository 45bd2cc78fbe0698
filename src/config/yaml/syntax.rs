//! Syntax errors in words of ours. The parser's own may quote the source.

use serde_yaml::granit_parser::{ErrorKind, ScanError};

const TAB: &str = "a tab in the indentation; YAML indents with spaces only";

/// Describes an error of the parser without any of the text.
pub(crate) fn describe(error: &ScanError, text: &str) -> &'static str {
    if tab_indents(text, error.marker().line()) {
        return TAB;
    }
    kind(error.kind())
}

/// Returns true if a tab is part of the indentation where the parser stopped, often one line on.
fn tab_indents(text: &str, line: usize) -> bool {
    text.lines().skip(line.saturating_sub(2)).take(2).any(|line| {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        line.get(..indent).is_some_and(|indent| indent.contains('\t'))
    })
}

fn kind(kind: &ErrorKind) -> &'static str {
    use ErrorKind as K;
    match kind {
        K::TabNotAllowed
        | K::TabInBlockIndentation
        | K::TabInIndentation
        | K::TabAtBlockScalarStart
        | K::TabInPlainScalar => TAB,
        K::UnexpectedEofFlowSequence | K::ExpectedFlowSequenceSeparator => {
            "a list in brackets is not closed: expected ',' or ']'"
        }
        K::UnexpectedEofFlowMapping
        | K::UnexpectedEofImplicitFlowMapping
        | K::ExpectedFlowMappingSeparator => {
            "a mapping in braces is not closed: expected ',' or '}'"
        }
        K::UnclosedFlowCollection { .. }
        | K::MismatchedFlowCollectionEnd { .. }
        | K::MisplacedFlowCollectionEnd => "brackets or braces do not match",
        K::UnclosedQuotedScalar | K::DocumentIndicatorInQuotedScalar => {
            "a quoted text is not closed"
        }
        K::InvalidTrailingSingleQuotedScalar | K::InvalidTrailingDoubleQuotedScalar => {
            "unexpected text after a quoted text"
        }
        K::UnknownQuotedScalarEscape
        | K::InvalidQuotedScalarHexEscape
        | K::InvalidLowSurrogateHexEscape
        | K::InvalidLowSurrogate
        | K::MissingLowSurrogate
        | K::UnpairedLowSurrogate
        | K::InvalidUnicodeEscape => {
            "an unknown escape in a double-quoted text; single quotes take a backslash as it is"
        }
        K::InvalidIndentation
        | K::InvalidBlockScalarIndent
        | K::InvalidQuotedScalarIndent
        | K::InvalidFlowScalarIndent
        | K::ExpectedBlockMappingKey
        | K::ExpectedBlockSequenceEntry
        | K::BlockSequenceEntryNotAllowed => {
            "the indentation does not fit, or a key or '-' is missing here"
        }
        K::SimpleKeyExpected | K::InvalidSimpleKey => "expected 'key: value'; the ':' is missing",
        K::MappingKeyNotAllowed
        | K::MappingValueNotAllowed
        | K::InvalidColonPlacement
        | K::InvalidMappingValueWhitespace => {
            "a ':' where no key can be; check the indentation, and quote a text that contains ': '"
        }
        K::UnknownAnchor => "an alias (*name) to an anchor (&name) that does not exist",
        K::MissingAnchorOrAliasName => {
            "expected a name after '&' or '*'; quote a text that begins so"
        }
        K::UnexpectedCharacter { .. } => {
            "a character that cannot begin a text; quote the text (%, @ and ` need it)"
        }
        K::RecursionLimitExceeded => "nested too deeply",
        K::BomInsideDocument => "a byte order mark in the middle of the file",
        K::MultipleDocumentsUnsupported => "a second document begins here; the file must hold one",
        _ => "not valid YAML here",
    }
}
