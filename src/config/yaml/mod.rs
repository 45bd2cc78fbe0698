//! The grammar of the file, apart from its schema: text becomes a tree with positions, in which variables are
//! inserted (`document`), the tree is distributed over the structs of the schema (`section`), and each setting is
//! read from its place (`setting`). Faults are collected in the `context`.

pub(super) mod context;
pub(super) mod diagnostics;
pub(super) mod document;
pub(super) mod dotenv;
mod expand;
pub(super) mod section;
pub(super) mod setting;
mod source;
mod syntax;
pub(super) mod tree;
pub(super) mod values;
