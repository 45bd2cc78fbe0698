//! Rows of resources whose lists do not change with time.

use std::any::{Any, TypeId};
use std::collections::HashMap;

/// Lists by the type of their rows: the world holds them without knowledge of the resources.
#[derive(Default)]
pub(crate) struct Lists(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl Lists {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, rows: Vec<T>) {
        self.0.insert(TypeId::of::<T>(), Box::new(rows));
    }

    /// Returns the rows of a type; none if the list was never added.
    pub(crate) fn get<T: 'static>(&self) -> &[T] {
        let rows = self.0.get(&TypeId::of::<T>());
        rows.and_then(|rows| rows.downcast_ref::<Vec<T>>()).map_or(&[], Vec::as_slice)
    }
}
