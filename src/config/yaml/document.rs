//! YAML text to a tree, with variables inserted into its scalars.

use std::collections::{BTreeMap, HashMap};

use serde_yaml::granit_parser::{
    Event, Marker, Options, Parser, ScalarStyle, ScanError, StrInput, Tag,
};

use super::context::Context;
use super::diagnostics::{Cause, Position, Reported, quoted};
use super::expand::{Fault, substitute};
use super::syntax;
use super::tree::{Entry, Node, Value};

/// Levels of nesting; the schema needs five.
const MAX_DEPTH: usize = 32;
/// Bytes that the tree may weigh once aliases are expanded.
const MAX_WEIGHT: usize = 32 << 20;
/// Weight of a node beside its text.
const NODE_WEIGHT: usize = 64;

/// Reads a document whose root is a mapping of `keys`, with at least `least`; faults are in the context.
pub(crate) fn read(context: &Context<'_>, text: &str, least: &str, keys: &str) -> Option<Node> {
    let Some(mut root) = tree(context, text).ok()?.filter(|root| !root.is_null()) else {
        let message = format!("the file is empty; it takes at least {least}");
        context.report(Cause::Invalid, None, "", message);
        return None;
    };
    expand(context, &mut root);
    if matches!(root.value, Value::Map(_)) {
        return Some(root);
    }
    context.error(root.position, "", format!("expected a mapping of {keys}"));
    None
}

/// Reads the root of a document as it is spelt; faults are in the context.
pub(crate) fn tree(context: &Context<'_>, text: &str) -> Result<Option<Node>, Reported> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let parser = Parser::new_from_str_with_options(text, options);
    Builder { context, text, parser, anchors: HashMap::new(), weight: 0 }.document()
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

struct Builder<'c, 'e, 't> {
    context: &'c Context<'e>,
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    /// Complete nodes with an anchor.
    anchors: HashMap<usize, Built>,
    weight: usize,
}

impl<'t> Builder<'_, '_, 't> {
    fn fault(&self, position: Position, message: impl Into<String>) -> Reported {
        self.context.error(position, "", message);
        Reported
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Position)>, Reported> {
        let event = self.parser.next_event().transpose().map_err(|error: ScanError| {
            self.fault(place(error.marker()), syntax::describe(&error, self.text))
        })?;
        Ok(event.map(|(event, span)| (event, place(&span.start))))
    }

    /// Builds the root of the only document; `None` if there is nothing in it.
    fn document(mut self) -> Result<Option<Node>, Reported> {
        let mut root = None;
        let mut documents = 0;
        while let Some((event, position)) = self.next()? {
            match event {
                Event::DocumentStart(..) if documents > 0 => {
                    let message = "a second document begins here; the file must hold one";
                    return Err(self.fault(position, message));
                }
                Event::DocumentStart(..) => documents += 1,
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                other => root = Some(self.node(other, position)?.node),
            }
        }
        Ok(root)
    }

    /// Builds the node that `event` begins.
    fn node(&mut self, event: Event<'t>, position: Position) -> Result<Built, Reported> {
        let before = self.weight;
        let mut length = 0;
        let ((value, below), anchor, tag) = match event {
            Event::Alias(id) => return self.alias(id, position),
            Event::Scalar(text, style, anchor, tag) => {
                length = text.len();
                ((scalar(text.into_owned(), style, tag.as_deref()), 0), anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => (self.items()?, anchor, tag),
            Event::MappingStart(_, anchor, tag) => (self.entries()?, anchor, tag),
            _ => return Err(self.fault(position, "not valid YAML here")),
        };
        if tag.is_some_and(|tag| tag.core_suffix().is_none()) {
            self.fault(position, "custom tags are not supported");
        }
        self.charge(NODE_WEIGHT + length, position)?;
        let (weight, height) = (self.weight - before, below + 1);
        if height > MAX_DEPTH {
            return Err(self.fault(position, "nested too deeply"));
        }
        let built = Built { node: Node { value, position }, weight, height };
        if anchor > 0 {
            // The copy that is kept for aliases is memory too.
            self.charge(weight, position)?;
            self.anchors.insert(anchor, built.clone());
        }
        Ok(built)
    }

    fn alias(&mut self, id: usize, position: Position) -> Result<Built, Reported> {
        // Only complete nodes are among the anchors. One is charged before it is copied.
        if let Some(weight) = self.anchors.get(&id).map(|built| built.weight) {
            self.charge(weight, position)?;
        }
        let built = self.anchors.get(&id).cloned();
        built.ok_or_else(|| self.fault(position, "an alias to what contains it"))
    }

    fn charge(&mut self, weight: usize, position: Position) -> Result<(), Reported> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight <= MAX_WEIGHT {
            return Ok(());
        }
        Err(self.fault(position, "with aliases expanded, more than the limit of 32 MiB"))
    }

    fn items(&mut self) -> Result<(Value, usize), Reported> {
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

    fn entries(&mut self) -> Result<(Value, usize), Reported> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, Position> = HashMap::new();
        // Entries of `<<`, which count where the mapping has none of its own.
        let mut merged = Vec::new();
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
            let key = match key.value {
                _ if merge => {
                    self.merge(value, &mut merged);
                    continue;
                }
                Value::Text { text, .. } => text,
                Value::Null => "null".to_owned(),
                Value::Unresolved | Value::List(_) | Value::Map(_) => {
                    self.fault(position, "a key must be plain text");
                    continue;
                }
            };
            if let Some(first) = seen.get(&key) {
                let name = quoted(&key, false, value.is_null());
                let message = format!("duplicate key{name}; the first is on line {}", first.line);
                self.fault(position, message);
                continue;
            }
            seen.insert(key.clone(), position);
            entries.push(Entry { key, position, value });
        }
        merged.retain(|entry: &Entry| seen.insert(entry.key.clone(), entry.position).is_none());
        entries.append(&mut merged);
        Ok((Value::Map(entries), height))
    }

    /// Merges `<<: *defaults` below the keys of the mapping. Go's YAML has it, so files use it.
    fn merge(&mut self, value: Node, merged: &mut Vec<Entry>) {
        match value.value {
            Value::Map(entries) => merged.extend(entries),
            Value::List(items) => items.into_iter().for_each(|item| self.merge(item, merged)),
            _ => {
                self.fault(value.position, "<< takes a mapping or a list of mappings");
            }
        }
    }
}

fn scalar(text: String, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_null = match tag.and_then(Tag::core_suffix) {
        Some(core) => core == "null",
        None => {
            style == ScalarStyle::Plain
                && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
        }
    };
    if is_null { Value::Null } else { Value::Text { text, literal: true } }
}

fn place(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

/// Inserts the variables of the environment into every scalar value below `root`; keys stay as they are.
fn expand(context: &Context<'_>, root: &mut Node) {
    let mut missing = BTreeMap::new();
    expand_below(context, root, &mut missing);
    if let Some(first) = missing.values().flatten().min() {
        let noun = if missing.len() == 1 { "variable" } else { "variables" };
        let names: Vec<_> = missing.iter().map(|(name, at)| named(name, at)).collect();
        let message = format!("environment {noun} not set: {}", names.join(", "));
        context.error(*first, "", message);
    }
}

type Missing = BTreeMap<String, Vec<Position>>;

fn expand_below(context: &Context<'_>, node: &mut Node, missing: &mut Missing) {
    match &mut node.value {
        Value::Text { text, .. } if text.contains('$') => {
            node.value = match substitute(text, &mut |name| context.env.get(name)) {
                Ok((text, literal)) => Value::Text { text, literal },
                Err(fault) => {
                    match fault {
                        Fault::Missing(names) => names
                            .into_iter()
                            .for_each(|name| missing.entry(name).or_default().push(node.position)),
                        Fault::Malformed(message) => context.error(node.position, "", message),
                        Fault::Variable(fault) => context.push(*fault),
                    }
                    Value::Unresolved
                }
            };
        }
        Value::List(items) => {
            for item in items {
                expand_below(context, item, missing);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                expand_below(context, &mut entry.value, missing);
            }
        }
        Value::Text { .. } | Value::Null | Value::Unresolved => {}
    }
}

fn named(name: &str, at: &[Position]) -> String {
    let mut lines: Vec<_> = at.iter().map(|position| position.line).collect();
    lines.sort_unstable();
    lines.dedup();
    let noun = if lines.len() == 1 { "line" } else { "lines" };
    let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
    format!("{name} ({noun} {})", lines.join(", "))
}
