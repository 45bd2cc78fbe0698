//! YAML text to a tree that knows where each key and value stands.
//!
//! Scalars stay text, exactly as the file spells them: `13.0` is a version here and not the number
//! 13. Which type a value has is the business of whoever asks for it.

use std::collections::HashMap;

use serde_yaml::granit_parser::StrInput;
use serde_yaml::granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Tag};

use super::diagnostics::{Position, Problem, quoted};
use super::syntax;

/// Levels of nesting; the schema needs five.
const MAX_DEPTH: usize = 32;
/// Bytes that the tree may weigh once aliases are expanded.
const MAX_WEIGHT: usize = 32 << 20;
/// Weight of a node beside its text.
const NODE_WEIGHT: usize = 64;

/// A value and its place. No `Debug`: it may hold secrets.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) position: Position,
}

impl Node {
    /// Returns true if there is nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Returns true if it counts as absent. Empty text does: Go took it for the default, templates write
    /// it, and what is required still complains.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Text { text, .. } => text.trim().is_empty(),
            Value::Unresolved | Value::List(_) | Value::Map(_) => false,
        }
    }
}

impl Node {
    /// Calls `note` with the position of each text below that is spelt out in the file and not empty.
    pub(crate) fn literals(&self, note: &mut impl FnMut(Position)) {
        match &self.value {
            Value::Text { literal: true, .. } if !self.is_empty() => note(self.position),
            Value::Map(entries) => entries.iter().for_each(|entry| entry.value.literals(note)),
            _ => {}
        }
    }
}

/// The value of a node.
#[derive(Clone)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`: as if the key were absent.
    Null,
    /// A scalar whose expansion failed; that was reported, so nobody need complain again.
    Unresolved,
    Text {
        text: String,
        /// Spelt out in the file: no variable was inserted.
        literal: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) position: Position,
    pub(crate) value: Node,
}

/// A document: its root, if there is any, and the faults that did not stop the parser.
pub(crate) struct Document {
    pub(crate) root: Option<Node>,
    pub(crate) problems: Vec<Problem>,
}

/// Parses one document.
pub(crate) fn parse(text: &str) -> Result<Document, Problem> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut builder = Builder {
        text,
        parser: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        weight: 0,
        problems: Vec::new(),
    };
    let root = builder.document()?;
    Ok(Document { root, problems: builder.problems })
}

/// A node with what it costs.
#[derive(Clone)]
struct Built {
    node: Node,
    /// Bytes, roughly.
    weight: usize,
    /// Levels of nesting. Aliases can nest deeper than the text does, and the tree is walked by
    /// recursion.
    height: usize,
}

struct Builder<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    /// Complete nodes with an anchor.
    anchors: HashMap<usize, Built>,
    weight: usize,
    problems: Vec<Problem>,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Position)>, Problem> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, place(&span.start)))),
            Some(Err(error)) => Err(Problem {
                position: place(error.marker()),
                message: syntax::describe(&error, self.text).into(),
            }),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Problem> {
        let mut root = None;
        let mut documents = 0;
        while let Some((event, position)) = self.next()? {
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        let message =
                            "a second document begins here; the file must hold one".into();
                        return Err(Problem { position, message });
                    }
                }
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                other => root = Some(self.node(other, position)?.node),
            }
        }
        Ok(root)
    }

    /// Builds the node that `event` begins.
    fn node(&mut self, event: Event<'t>, position: Position) -> Result<Built, Problem> {
        let before = self.weight;
        let mut length = 0;
        let ((value, below), anchor) = match event {
            Event::Alias(id) => return self.alias(id, position),
            Event::Scalar(text, style, anchor, tag) => {
                length = text.len();
                let value = self.scalar(text.into_owned(), style, tag.as_deref(), position);
                ((value, 0), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), position);
                (self.items()?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), position);
                (self.entries()?, anchor)
            }
            _ => return Err(Problem { position, message: "not valid YAML here".into() }),
        };
        self.charge(NODE_WEIGHT + length, position)?;
        let (weight, height) = (self.weight - before, below + 1);
        if height > MAX_DEPTH {
            return Err(Problem { position, message: "nested too deeply".into() });
        }
        let built = Built { node: Node { value, position }, weight, height };
        if anchor > 0 {
            // The copy that is kept for aliases is memory too.
            self.charge(weight, position)?;
            self.anchors.insert(anchor, built.clone());
        }
        Ok(built)
    }

    fn alias(&mut self, id: usize, position: Position) -> Result<Built, Problem> {
        // Only complete nodes are among the anchors.
        let Some(weight) = self.anchors.get(&id).map(|built| built.weight) else {
            return Err(Problem { position, message: "an alias to what contains it".into() });
        };
        self.charge(weight, position)?;
        let built = self.anchors.get(&id).cloned();
        built.ok_or(Problem { position, message: "an alias to nothing".into() })
    }

    fn charge(&mut self, weight: usize, position: Position) -> Result<(), Problem> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight <= MAX_WEIGHT {
            return Ok(());
        }
        Err(Problem {
            position,
            message: "with aliases expanded, more than the limit of 32 MiB".into(),
        })
    }

    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        tag: Option<&Tag>,
        position: Position,
    ) -> Value {
        self.check_tag(tag, position);
        let null = match tag.and_then(Tag::core_suffix) {
            Some(core) => core == "null",
            None => {
                style == ScalarStyle::Plain
                    && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
        };
        if null { Value::Null } else { Value::Text { text, literal: true } }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, position: Position) {
        if tag.is_some_and(|tag| tag.core_suffix().is_none()) {
            self.problems
                .push(Problem { position, message: "custom tags are not supported".into() });
        }
    }

    fn items(&mut self) -> Result<(Value, usize), Problem> {
        let mut items = Vec::new();
        let mut height = 0;
        while let Some((event, position)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            let built = self.node(event, position)?;
            height = height.max(built.height);
            items.push(built.node);
        }
        Ok((Value::List(items), height))
    }

    fn entries(&mut self) -> Result<(Value, usize), Problem> {
        let mut mapping = Mapping::default();
        let mut height = 0;
        while let Some((event, position)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let merge = matches!(&event, Event::Scalar(key, ScalarStyle::Plain, ..) if key == "<<");
            let key = self.node(event, position)?.node;
            let Some((event, at)) = self.next()? else { break };
            let Built { node: value, height: below, .. } = self.node(event, at)?;
            height = height.max(below);
            match key_text(key.value) {
                _ if merge => self.merge(value, &mut mapping.merged),
                Some(key) => {
                    let name = quoted(&key, false, value.is_null());
                    if let Some(first) = mapping.put(Entry { key, position, value }) {
                        let message =
                            format!("duplicate key{name}; the first is on line {}", first.line);
                        self.problems.push(Problem { position, message: message.into() });
                    }
                }
                None => {
                    let message = "a key must be plain text".into();
                    self.problems.push(Problem { position, message });
                }
            }
        }
        Ok((Value::Map(mapping.finish()), height))
    }

    /// Merges `<<: *defaults` below the keys of the mapping. Go's YAML has it, so files use it.
    fn merge(&mut self, value: Node, merged: &mut Vec<Entry>) {
        match value.value {
            Value::Map(entries) => merged.extend(entries),
            Value::List(items) => items.into_iter().for_each(|item| self.merge(item, merged)),
            _ => {
                let message = "<< takes a mapping or a list of mappings".into();
                self.problems.push(Problem { position: value.position, message });
            }
        }
    }
}

/// A mapping in the making.
#[derive(Default)]
struct Mapping {
    entries: Vec<Entry>,
    seen: HashMap<String, Position>,
    /// Entries of `<<`, which count where the mapping has none of its own.
    merged: Vec<Entry>,
}

impl Mapping {
    /// Adds an entry, unless its key is there: then the place of that is returned.
    fn put(&mut self, entry: Entry) -> Option<Position> {
        if let Some(first) = self.seen.get(&entry.key) {
            return Some(*first);
        }
        self.seen.insert(entry.key.clone(), entry.position);
        self.entries.push(entry);
        None
    }

    fn finish(mut self) -> Vec<Entry> {
        for entry in std::mem::take(&mut self.merged) {
            self.put(entry);
        }
        self.entries
    }
}

fn key_text(key: Value) -> Option<String> {
    match key {
        Value::Text { text, .. } => Some(text),
        Value::Null => Some("null".to_owned()),
        Value::Unresolved | Value::List(_) | Value::Map(_) => None,
    }
}

fn place(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}
