//! A file that is written.

/// A file of the repository, by its path from the root, and what it holds.
#[derive(Debug)]
pub struct File {
    /// Path from the root of the repository.
    pub path: String,
    /// The whole of it.
    pub text: String,
}
