//! A deserializer of `serde` that distributes a tree over the structs of the schema. It never fails: each
//! field of a struct gets the number of its [`Place`], from which its value is read later; what has the wrong
//! shape, and each key that is no field, is reported.

use serde::Deserialize;
use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde_json::Value as Json;

use super::context::{Context, Place};
use super::diagnostics::{nearest, quoted};
use super::tree::{Entry, Node, Value};

/// Distributes the mapping `root` over the struct `T`, whose JSON Schema is `schema`.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(
    context: &Context<'_>,
    root: Node,
    schema: &'static Json,
) -> Option<T> {
    let position = root.position;
    let place = Place::new(String::new(), position, schema, Some((position, root)));
    T::deserialize(Section { context, place }).ok()
}

/// The part of the tree at one place.
struct Section<'c, 'e> {
    context: &'c Context<'e>,
    place: Place,
}

impl Section<'_, '_> {
    /// Takes the content out of the place, or reports that it is not of the kind that `expected` names.
    fn content<T: Default>(
        &mut self,
        expected: &str,
        convert: impl Fn(Value) -> Result<T, Value>,
    ) -> T {
        let Self { context, place } = self;
        match place.node.take().map(|node| convert(node.value)) {
            None | Some(Err(Value::Null)) => T::default(),
            Some(Ok(content)) => content,
            Some(Err(other)) => {
                place.is_lost = true;
                context.mismatch(place.value, &place.path, expected, &other);
                T::default()
            }
        }
    }
}

impl IntoDeserializer<'_, Error> for Section<'_, '_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Section<'_, '_> {
    type Error = Error;

    /// Deserializes all fields, those that are absent in the file included.
    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let entries = self.content("a mapping of keys", |value| match value {
            Value::Map(entries) => Ok(entries),
            other => Err(other),
        });
        let Self { context, place } = self;
        let Place { path, value: position, schema, is_lost, .. } = &place;
        let (path, position, schema, is_lost) = (path.clone(), *position, *schema, *is_lost);
        context.add_place(place);
        let (mut entries, unknown): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| fields.contains(&entry.key.as_str()));
        for Entry { key, position, value } in unknown {
            let near = nearest(&key, fields.iter().copied());
            let hint = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("expected one of {}", fields.join(", ")),
            };
            let name = quoted(&key, near.is_some(), value.is_null());
            context.error(position, &path, format!("unknown key{name}; {hint}"));
        }
        let field = move |name: &'static str| {
            let entry = entries.iter().position(|entry| entry.key == name);
            let entry = entry.map(|at| entries.swap_remove(at));
            let found = entry.map(|entry| (entry.position, entry.value));
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let mut place = Place::new(path, position, &schema["properties"][name], found);
            place.is_lost = is_lost;
            (name, Section { context, place })
        };
        visitor.visit_map(MapDeserializer::new(fields.iter().copied().map(field)))
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let nodes = self.content("a list", |value| match value {
            Value::List(items) => Ok(items),
            other => Err(other),
        });
        let Self { context, place } = self;
        let (path, schema) = (place.path.clone(), &place.schema["items"]);
        context.add_place(place);
        let item = move |(index, node): (usize, Node)| {
            let (path, at) = (format!("{path}[{index}]"), node.position);
            Section { context, place: Place::new(path, at, schema, Some((at, node))) }
        };
        visitor.visit_seq(SeqDeserializer::new(nodes.into_iter().enumerate().map(item)))
    }

    /// Deserializes a key as the number of its place.
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(self.context.add_place(self.place) as u64)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("the schema consists of structs, lists of structs, and keys"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct tuple tuple_struct map enum identifier ignored_any
    }
}
