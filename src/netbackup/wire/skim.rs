//! The fast way through a page: one pass that reads the members which the rows ask for, and skips the
//! others without telling serde of them (docs/adr/0012-json-parser.md).
//!
//! It takes only what serde_json takes too, with the same result. At anything else, a bad record or a
//! rare way of writing a good one, it gives up, and the page is decoded by serde_json.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Error;

use super::lenient;
use super::page::{Envelope, Id, Record};

/// Bytes of a record from which the number of rows is guessed.
const RECORD: usize = 2048;

/// Decodes a page; `None` if there is anything unusual in it.
pub(super) fn page<'de, A: Deserialize<'de>>(body: &'de [u8]) -> Option<Envelope<Record<'de, A>>> {
    let text = simdutf8::basic::from_utf8(body).ok()?;
    let mut reader = Reader { text, at: 0 };
    let (mut data, mut meta, mut error_code, mut error_message) = (None, None, None, None);
    reader.members(|reader, key| match key {
        "data" => set(&mut data, reader.records()?),
        "meta" => set(&mut meta, lenient::object(Member(reader)).ok()?),
        "errorCode" => set(&mut error_code, lenient::integer(Member(reader)).ok()?),
        "errorMessage" => set(&mut error_message, lenient::owned_text(Member(reader)).ok()?),
        _ => reader.value().map(drop),
    })?;
    if reader.peek().is_some() {
        return None;
    }
    Some(Envelope {
        data: data?,
        meta: meta.flatten(),
        error_code: error_code.flatten(),
        error_message: error_message.flatten(),
    })
}

/// Sets a member that may occur once.
fn set<T>(member: &mut Option<T>, value: T) -> Option<()> {
    member.replace(value).is_none().then_some(())
}

/// The keys of the last record, in their order: most records of a page have the same.
type Layout<'de> = Vec<Key<'de>>;

struct Key<'de> {
    /// From the quote before it to the colon after it.
    text: &'de str,
    /// The field of that name, if the row has one.
    field: Option<&'static str>,
}

/// A place in a JSON text. Methods that return `None` may leave it anywhere.
struct Reader<'de> {
    text: &'de str,
    at: usize,
}

impl<'de> Reader<'de> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips white space, and returns the byte after it.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte()? {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Skips white space and `byte`, which must be there.
    fn take(&mut self, byte: u8) -> Option<()> {
        let is_there = self.peek()? == byte;
        self.at += usize::from(is_there);
        is_there.then_some(())
    }

    /// Skips what separates two elements. Returns false at the end, `close`.
    fn has_next(&mut self, first: bool, close: u8) -> Option<bool> {
        let byte = self.peek()?;
        if byte == close {
            self.at += 1;
            return Some(false);
        }
        if !first {
            self.take(b',')?;
        }
        Some(true)
    }

    /// Calls `read` at the value of each member of an object.
    fn members(&mut self, mut read: impl FnMut(&mut Self, &'de str) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        let mut first = true;
        while self.has_next(std::mem::take(&mut first), b'}')? {
            let key = self.key()?;
            read(self, key)?;
        }
        Some(())
    }

    fn key(&mut self) -> Option<&'de str> {
        self.peek()?;
        let key = self.plain_string()?;
        self.take(b':')?;
        Some(key)
    }

    fn records<A: Deserialize<'de>>(&mut self) -> Option<Vec<Record<'de, A>>> {
        let mut rows = Vec::with_capacity((self.text.len() - self.at) / RECORD);
        let mut layout = Layout::new();
        self.take(b'[')?;
        let mut first = true;
        while self.has_next(std::mem::take(&mut first), b']')? {
            rows.push(self.record(&mut layout)?);
        }
        Some(rows)
    }

    fn record<A: Deserialize<'de>>(&mut self, layout: &mut Layout<'de>) -> Option<Record<'de, A>> {
        let (mut id, mut attributes, mut related) = (None, None, None);
        self.members(|reader, key| match key {
            "id" => set(&mut id, Id::deserialize(Member(reader)).ok()?),
            "attributes" => {
                let object = Attributes { reader, layout: &mut *layout };
                set(&mut attributes, A::deserialize(object).ok()?)
            }
            "relationships" => {
                let text = reader.value()?;
                let object = lenient::object(&mut serde_json::Deserializer::from_str(text)).ok()?;
                set(&mut related, object)
            }
            _ => reader.value().map(drop),
        })?;
        let related = related.flatten();
        Some(Record { id: id.unwrap_or_default(), attributes: attributes?, related })
    }

    /// Skips a value, and returns its text.
    fn value(&mut self) -> Option<&'de str> {
        let (byte, start) = (self.peek()?, self.at);
        match byte {
            b'"' if self.plain_string().is_some() => {}
            b'"' | b'{' | b'[' => self.at += valid_length(self.text.get(self.at..)?)?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            _ => self.number()?,
        }
        self.text.get(start..self.at)
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        let is_there = self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        is_there.then_some(())
    }

    /// Skips a string without escapes, and returns its content. Stays where it is at any other.
    fn plain_string(&mut self) -> Option<&'de str> {
        if self.byte()? != b'"' {
            return None;
        }
        let start = self.at + 1;
        let end = start + plain_length(self.text.as_bytes().get(start..)?);
        let content = self.text.get(start..end)?;
        if self.text.as_bytes().get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        Some(content)
    }

    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.byte()? == b'-');
        let starts_with_zero = self.byte()? == b'0';
        let whole = self.digits()?;
        if whole > 1 && starts_with_zero {
            return None;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Some(())
    }

    /// Skips the digits of a number, and returns how many there are.
    fn digits(&mut self) -> Option<usize> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Some(self.at - start).filter(|digits| *digits > 0)
    }

    /// Reads an integer of up to 18 digits without a sign. Stays where it is at any other value.
    fn small_integer(&mut self) -> Option<u64> {
        let (mut number, start) = (0, self.at);
        let mut end = start;
        while let Some(digit) = self.text.as_bytes().get(end).filter(|byte| byte.is_ascii_digit()) {
            if end - start == 18 {
                return None;
            }
            number = number * 10 + u64::from(digit - b'0');
            end += 1;
        }
        let is_zero_before_digits = end > start + 1 && self.byte() == Some(b'0');
        let goes_on = matches!(self.text.as_bytes().get(end), Some(b'.' | b'e' | b'E'));
        if end == start || is_zero_before_digits || goes_on {
            return None;
        }
        self.at = end;
        Some(number)
    }

    /// Reads a key of attributes. Returns the name of the field that it is for, if the row has one.
    #[inline]
    fn field(
        &mut self,
        layout: &mut Layout<'de>,
        place: usize,
        fields: &'static [&'static str],
    ) -> Result<Option<&'static str>, Error> {
        self.peek();
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if let Some(key) = layout.get(place).filter(|key| rest.starts_with(key.text.as_bytes())) {
            self.at += key.text.len();
            return Ok(key.field);
        }
        let start = self.at;
        let name = self.key().ok_or_else(unusual)?;
        let field = fields.iter().find(|field| **field == name).copied();
        let key = Key { text: self.text.get(start..self.at).ok_or_else(unusual)?, field };
        match layout.get_mut(place) {
            Some(before) => *before = key,
            None => layout.push(key),
        }
        Ok(field)
    }
}

/// Returns the length of what comes before a quote, a backslash or a control character.
fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The lowest marked byte is right; one above it may be marked by a borrow.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, _) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let quote = zeros(word ^ (ONES * u64::from(b'"')));
        let backslash = zeros(word ^ (ONES * u64::from(b'\\')));
        let special = control | quote | backslash;
        if special != 0 {
            return at * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let done = words.len() * 8;
    let is_special = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    text[done..].iter().position(is_special).map_or(text.len(), |length| done + length)
}

/// Returns the length of the value that a text begins with: a string, an object or a list.
fn valid_length(text: &str) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}

fn unusual() -> Error {
    Error::custom("unusual")
}

/// A value that is read.
struct Member<'r, 'de>(&'r mut Reader<'de>);

impl<'de> Deserializer<'de> for Member<'_, 'de> {
    type Error = Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Self(reader) = self;
        match reader.peek() {
            Some(b'"') => {
                if let Some(text) = reader.plain_string() {
                    return visitor.visit_borrowed_str(text);
                }
            }
            Some(b'0'..=b'9') => {
                if let Some(number) = reader.small_integer() {
                    return visitor.visit_u64(number);
                }
            }
            _ => {}
        }
        let value = reader.value().ok_or_else(unusual)?;
        serde_json::Deserializer::from_str(value).deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.peek() == Some(b'n') {
            self.0.literal("null").ok_or_else(unusual)?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.value().ok_or_else(unusual)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// The attributes of a record, an object.
struct Attributes<'r, 'de> {
    reader: &'r mut Reader<'de>,
    layout: &'r mut Layout<'de>,
}

impl<'de> Deserializer<'de> for Attributes<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.reader.peek() != Some(b'{') {
            return Err(unusual());
        }
        Member(self.reader).deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.reader.peek() != Some(b'{') {
            return Err(unusual());
        }
        Member(self.reader).deserialize_ignored_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Self { reader, layout } = self;
        reader.take(b'{').ok_or_else(unusual)?;
        visitor.visit_map(Fields { reader, layout, names: fields, place: 0 })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map enum identifier option newtype_struct
    }
}

/// The members of attributes that the row has a field for.
struct Fields<'r, 'de> {
    reader: &'r mut Reader<'de>,
    layout: &'r mut Layout<'de>,
    names: &'static [&'static str],
    /// Keys that were read.
    place: usize,
}

impl Fields<'_, '_> {
    /// Skips to the value of the next field, and returns its name; `None` at the end.
    fn next(&mut self) -> Result<Option<&'static str>, Error> {
        while self.reader.has_next(self.place == 0, b'}').ok_or_else(unusual)? {
            let field = self.reader.field(self.layout, self.place, self.names)?;
            self.place += 1;
            if field.is_some() {
                return Ok(field);
            }
            self.reader.value().ok_or_else(unusual)?;
        }
        Ok(None)
    }
}

impl<'de> MapAccess<'de> for Fields<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        match self.next()? {
            Some(field) => seed.deserialize(BorrowedStrDeserializer::new(field)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(Member(self.reader))
    }
}

#[cfg(test)]
#[path = "skim_tests.rs"]
mod tests;
