//! The grammar of the file, apart from its schema: text becomes a tree with positions (`tree`), variables
//! are inserted (`expand`), the tree is distributed over the structs of the schema (`section`), and each
//! setting is read from its place (`key`, `lookup`). Errors are collected in the `context`.

pub(super) mod context;
pub(super) mod diagnostics;
pub(super) mod dotenv;
pub(super) mod env;
pub(super) mod expand;
pub(super) mod key;
pub(super) mod lookup;
pub(super) mod section;
mod syntax;
pub(super) mod tree;
pub(super) mod values;
