//! Splits a JSON text into its parts without decoding them. The caller has checked that the text is
//! valid JSON; for anything else the result is wrong or `None`, never a panic.

use crate::net::text::json_value_length;

/// Returns the keys (without quotes, escapes left in) and values of an object.
pub(super) fn members(text: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut rest = text.trim_ascii().strip_prefix(b"{")?.trim_ascii_start();
    let mut members = Vec::new();
    while rest.first() == Some(&b'"') {
        let (key, after) = split_value(rest);
        let after = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let (value, after) = split_value(after);
        members.push((key.get(1..key.len().saturating_sub(1))?, value.trim_ascii_end()));
        rest = skip_comma(after);
    }
    Some(members)
}

/// Returns the value of a member of an object.
pub(super) fn member<'t>(object: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    members(object)?.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Returns the elements of a list.
pub(super) fn elements(text: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = text.trim_ascii().strip_prefix(b"[")?.trim_ascii_start();
    let mut elements = Vec::new();
    while !matches!(rest.first(), None | Some(b']')) {
        let (value, after) = split_value(rest);
        elements.push(value.trim_ascii_end());
        rest = skip_comma(after);
    }
    Some(elements)
}

fn skip_comma(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii_start();
    text.strip_prefix(b",").unwrap_or(text).trim_ascii_start()
}

/// Splits off the value that `text` begins with; at least one byte of a text that is not empty.
fn split_value(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(json_value_length(text).max(1).min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn object_is_split_into_its_members() {
        let text = br#" { "a" : 1 , "b":[ 2,"]" ], "c\"":"x,\"}" , "d":{"e":{}} } "#;
        let expected: Vec<(&[u8], &[u8])> = vec![
            (b"a", b"1"),
            (b"b", br#"[ 2,"]" ]"#),
            (br#"c\""#, br#""x,\"}""#),
            (b"d", br#"{"e":{}}"#),
        ];
        assert_eq!(members(text).unwrap(), expected);
        assert_eq!(members(b"{ }").unwrap(), []);
        assert_eq!(members(b"[]"), None);
    }

    #[test]
    fn list_is_split_into_its_elements() {
        let expected: Vec<&[u8]> = vec![b"1", b"null", br#""a,b""#, b"[ ]", br#"{"x":[1]}"#];
        assert_eq!(elements(br#"[1, null ,"a,b",[ ],{"x":[1]}]"#).unwrap(), expected);
        assert_eq!(elements(b"[]").unwrap(), Vec::<&[u8]>::new());
        assert_eq!(elements(b"7"), None);
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in r#"[\[\]{}",:\\ a1]{0,40}"#) {
            let _ = members(text.as_bytes());
            let _ = elements(text.as_bytes());
        }
    }
}
