//! No file of a crate imports itself by way of others. An import through a re-export counts as one of
//! the file that defines the name.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Source folders of the crates.
const CRATES: [&str; 3] = ["src", "crates/nbu-sim/src", "crates/dashboards/src"];

/// A module of a crate; several inline modules share a file.
#[derive(Default)]
struct Module {
    file: PathBuf,
    parent: usize,
    children: BTreeMap<String, usize>,
    imports: Vec<Import>,
    /// Names that the module defines.
    defined: BTreeSet<String>,
    /// Paths and names in its code, apart from imports.
    paths: BTreeSet<Vec<String>>,
}

/// A name that a `use` brings into a module; `*` for all names.
struct Import {
    path: Vec<String>,
    name: String,
    is_public: bool,
}

/// The modules of a crate, the root first.
struct Crate(Vec<Module>);

impl Crate {
    fn read(root: &Path) -> Self {
        let mut modules = Self(Vec::new());
        modules.add_file(root.to_owned(), root.parent().unwrap(), 0);
        modules
    }

    /// Reads a file, whose child modules are in `folder`. Returns its module.
    fn add_file(&mut self, file: PathBuf, folder: &Path, parent: usize) -> usize {
        let text = fs::read_to_string(&file).unwrap();
        let tokens: TokenStream =
            text.parse().unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.add_module(file, folder, parent, tokens)
    }

    fn add_module(
        &mut self,
        file: PathBuf,
        folder: &Path,
        parent: usize,
        tokens: TokenStream,
    ) -> usize {
        let module = self.0.len();
        self.0.push(Module { file, parent, ..Module::default() });
        self.scan(module, folder, tokens);
        module
    }

    fn scan(&mut self, module: usize, folder: &Path, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let (mut at, mut is_public, mut is_test) = (0, false, false);
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    at += usize::from(is_punct(tokens.get(at), '!'));
                    let attribute = tokens.get(at).map(ToString::to_string).unwrap_or_default();
                    is_test |= attribute.replace(' ', "") == "[cfg(test)]";
                    at += 1;
                }
                _ if std::mem::take(&mut is_test) => at = end_of_item(&tokens, at - 1),
                TokenTree::Ident(word) if *word == "pub" => {
                    let scope = tokens.get(at);
                    at += usize::from(group(scope, Delimiter::Parenthesis).is_some());
                    is_public = true;
                    continue;
                }
                TokenTree::Ident(word) if *word == "use" => {
                    let end = end_of_item(&tokens, at);
                    self.add_imports(module, is_public, &[], &tokens[at..end - 1]);
                    at = end;
                }
                TokenTree::Ident(word) if *word == "mod" => {
                    let name = tokens[at].to_string();
                    let child = match group(tokens.get(at + 1), Delimiter::Brace) {
                        Some(body) => {
                            let file = self.0[module].file.clone();
                            self.add_module(file, &folder.join(&name), module, body.stream())
                        }
                        None => self.add_child_file(module, folder, &name),
                    };
                    self.0[module].children.insert(name, child);
                    at += 2;
                }
                TokenTree::Ident(_) => at = self.add_path(module, &tokens, at - 1),
                TokenTree::Group(inner) => self.scan(module, folder, inner.stream()),
                _ => {}
            }
            is_public = false;
        }
    }

    fn add_child_file(&mut self, module: usize, folder: &Path, name: &str) -> usize {
        let (flat, nested) = (folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs"));
        let file = if flat.exists() { flat } else { nested };
        self.add_file(file, &folder.join(name), module)
    }

    /// Adds the names of a `use` tree below `prefix`.
    fn add_imports(
        &mut self,
        module: usize,
        is_public: bool,
        prefix: &[String],
        tree: &[TokenTree],
    ) {
        for branch in tree.split(|token| is_punct(Some(token), ',')) {
            let mut path = prefix.to_vec();
            let mut name = None;
            for token in branch {
                match token {
                    TokenTree::Group(inner) => {
                        let inner: Vec<TokenTree> = inner.stream().into_iter().collect();
                        self.add_imports(module, is_public, &path, &inner);
                        path.clear();
                    }
                    TokenTree::Ident(word) if *word == "as" => name = Some(String::new()),
                    TokenTree::Ident(word) if name.is_some() => name = Some(word.to_string()),
                    // A `self` within braces is the module itself.
                    TokenTree::Ident(word) if *word == "self" && !path.is_empty() => {}
                    TokenTree::Ident(word) => path.push(word.to_string()),
                    TokenTree::Punct(mark) if mark.as_char() == '*' => name = Some("*".to_owned()),
                    _ => {}
                }
            }
            if let Some(last) = path.last() {
                let name = name.unwrap_or_else(|| last.clone());
                self.0[module].imports.push(Import { path, name, is_public });
            }
        }
    }

    /// Adds the path or the definition that begins at `at`. Returns its end.
    fn add_path(&mut self, module: usize, tokens: &[TokenTree], at: usize) -> usize {
        const DEFINE: [&str; 8] =
            ["fn", "struct", "enum", "union", "trait", "type", "const", "static"];
        let mut path = vec![tokens[at].to_string()];
        let mut at = at + 1;
        if DEFINE.contains(&path[0].as_str()) {
            if let Some(TokenTree::Ident(name)) = tokens.get(at) {
                self.0[module].defined.insert(name.to_string());
                return at + 1;
            }
            return at;
        }
        while is_punct(tokens.get(at), ':')
            && is_punct(tokens.get(at + 1), ':')
            && let Some(TokenTree::Ident(name)) = tokens.get(at + 2)
        {
            path.push(name.to_string());
            at += 3;
        }
        self.0[module].paths.insert(path);
        at
    }

    /// Returns the module in which a path of `module` ends: the one that it names, or the one that
    /// defines its last name.
    fn resolve(&self, module: usize, path: &[String], depth: usize) -> Option<usize> {
        let (mut at, mut is_first) = (module, true);
        for name in path {
            at = match name.as_str() {
                "crate" => 0,
                "self" => at,
                "super" => self.0[at].parent,
                name => match self.find(at, name, depth) {
                    Some(found) => found,
                    // A name of another crate or of the standard library.
                    None if is_first => return None,
                    None => return Some(at),
                },
            };
            is_first = false;
        }
        Some(at)
    }

    /// Returns the module of a name in `module`.
    fn find(&self, module: usize, name: &str, depth: usize) -> Option<usize> {
        let Module { children, imports, defined, .. } = &self.0[module];
        if let Some(child) = children.get(name) {
            return Some(*child);
        }
        // Imports may form a loop through globs.
        if defined.contains(name) || depth > 8 {
            return defined.contains(name).then_some(module);
        }
        let named = imports.iter().find(|import| import.name == name);
        if let Some(import) = named {
            return self.resolve(module, &import.path, depth + 1);
        }
        let globs = imports.iter().filter(|import| import.name == "*");
        globs
            .filter_map(|glob| self.resolve(module, &glob.path, depth + 1))
            .find_map(|target| self.find(target, name, depth + 1))
    }

    /// Returns the files that each file imports.
    fn edges(&self) -> BTreeMap<&Path, BTreeSet<&Path>> {
        let mut edges: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
        for (number, module) in self.0.iter().enumerate() {
            // A re-export is not a use of the name. A single name that is also one of a child module is
            // a local variable.
            let imports = module.imports.iter().filter(|import| !import.is_public);
            let is_path =
                |path: &&Vec<String>| path.len() > 1 || !module.children.contains_key(&path[0]);
            let paths = module.paths.iter().filter(is_path);
            let paths = imports.map(|import| &import.path).chain(paths);
            let targets = paths.filter_map(|path| self.resolve(number, path, 0));
            let files = targets.map(|target| self.0[target].file.as_path());
            let file = module.file.as_path();
            edges.entry(file).or_default().extend(files.filter(|other| *other != file));
        }
        edges
    }
}

fn is_punct(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<&Group> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// Returns the position after the item at `at`: after its semicolon, or its body.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let is_use = matches!(&tokens[at], TokenTree::Ident(word) if *word == "use")
        || matches!(at.checked_sub(1).map(|at| &tokens[at]), Some(TokenTree::Ident(word)) if *word == "use");
    let is_end = |token: &TokenTree| {
        is_punct(Some(token), ';') || !is_use && group(Some(token), Delimiter::Brace).is_some()
    };
    tokens[at..].iter().position(is_end).map_or(tokens.len(), |end| at + end + 1)
}

/// Returns the groups of files that reach each other by imports (Tarjan's algorithm).
fn cycles<'e>(edges: &'e BTreeMap<&'e Path, BTreeSet<&'e Path>>) -> Vec<Vec<&'e Path>> {
    #[derive(Default)]
    struct State<'e> {
        index: BTreeMap<&'e Path, usize>,
        low: BTreeMap<&'e Path, usize>,
        stack: Vec<&'e Path>,
        found: Vec<Vec<&'e Path>>,
    }
    fn visit<'e>(
        file: &'e Path,
        edges: &'e BTreeMap<&'e Path, BTreeSet<&'e Path>>,
        state: &mut State<'e>,
    ) {
        let index = state.index.len();
        state.index.insert(file, index);
        state.low.insert(file, index);
        state.stack.push(file);
        for next in &edges[file] {
            if !state.index.contains_key(next) {
                visit(next, edges, state);
                let low = state.low[file].min(state.low[next]);
                state.low.insert(file, low);
            } else if state.stack.contains(next) {
                let low = state.low[file].min(state.index[next]);
                state.low.insert(file, low);
            }
        }
        if state.low[file] == index {
            let start = state.stack.iter().position(|other| *other == file).unwrap();
            state.found.push(state.stack.split_off(start));
        }
    }
    let mut state = State::default();
    for file in edges.keys() {
        if !state.index.contains_key(file) {
            visit(file, edges, &mut state);
        }
    }
    state.found.retain(|files| files.len() > 1);
    state.found
}

#[test]
fn files_import_each_other_without_cycles() {
    let mut unexpected = Vec::new();
    for folder in CRATES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let modules = Crate::read(&folder.join("lib.rs"));
        let edges = modules.edges();
        let count: usize = edges.values().map(BTreeSet::len).sum();
        assert!(count > 50, "{}: only {count} imports found", folder.display());
        let name = |file: &Path| file.strip_prefix(&folder).unwrap().display().to_string();
        for cycle in cycles(&edges) {
            for file in &cycle {
                let within = edges[file].iter().filter(|other| cycle.contains(other));
                let within: Vec<String> = within.map(|other| name(other)).collect();
                unexpected.push(format!("{} -> {}", name(file), within.join(", ")));
            }
            unexpected.push(String::new());
        }
    }
    assert!(unexpected.is_empty(), "files import each other:\n{}", unexpected.join("\n"));
}

#[test]
fn cycle_through_re_exports_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("lib.rs", "mod a; mod b; mod c; pub use c::C; #[cfg(test)] mod tests { use crate::a; }");
    write("a.rs", "use crate::{C, b::B}; pub struct A(B, C);");
    write(
        "b.rs",
        "// use crate::a;\npub struct B; fn f() -> String { format!(\"{}\", crate::C::new()) }",
    );
    write("c.rs", "pub struct C; #[cfg(test)] use super::a::A;");
    let modules = Crate::read(&folder.path().join("lib.rs"));
    assert_eq!(cycles(&modules.edges()), Vec::<Vec<&Path>>::new());
    write("c.rs", "pub struct C(super::b::B);");
    let modules = Crate::read(&folder.path().join("lib.rs"));
    let edges = modules.edges();
    let found = cycles(&edges);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].len(), 2, "{found:?}");
}
