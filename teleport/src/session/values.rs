//! Values that an application keeps with a session.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use super::discard;

type Map = HashMap<TypeId, Box<dyn Any + Send + Sync>>;

/// A map from types to values, one value of each type: the place for what belongs to a connection, such as the
/// user who logged in on it. Empty and without an allocation until first used.
///
/// ```
/// # use teleport::Values;
/// #[derive(Clone, Debug, PartialEq)]
/// struct UserId(u64);
///
/// let values = Values::default();
/// values.insert(UserId(7));
/// assert_eq!(values.get::<UserId>(), Some(UserId(7)));
/// ```
#[derive(Default)]
pub struct Values(Mutex<Option<Box<Map>>>);

impl Values {
    /// Keeps `value`, and gives the one of the same type that was there before.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<T> {
        let before = self.with(|map| {
            map.get_or_insert_default()
                .insert(TypeId::of::<T>(), Box::new(value))
        });
        before.and_then(unbox)
    }

    /// A clone of the value of this type. Keep an `Arc` if cloning is dear.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.with(|map| {
            let value = map.as_ref()?.get(&TypeId::of::<T>())?;
            value.downcast_ref::<T>().cloned()
        })
    }

    /// Takes the value of this type out.
    pub fn remove<T: Send + Sync + 'static>(&self) -> Option<T> {
        self.with(|map| map.as_mut()?.remove(&TypeId::of::<T>()))
            .and_then(unbox)
    }

    /// The value of this type; made by `make` if there is none yet, of several callers by one. Values cannot be asked for
    /// other values meanwhile.
    pub fn get_or_insert_with<T: Clone + Send + Sync + 'static>(
        &self,
        make: impl FnOnce() -> T,
    ) -> T {
        self.with(|map| {
            let map = map.get_or_insert_default();
            if let Some(value) = map.get(&TypeId::of::<T>())
                && let Some(value) = value.downcast_ref::<T>()
            {
                return value.clone();
            }
            let value = make();
            map.insert(TypeId::of::<T>(), Box::new(value.clone()));
            value
        })
    }

    /// Drops all.
    pub(crate) fn clear(&self) {
        let values = self.with(Option::take);
        // Not under the lock: what is dropped may look here. Nor may it keep from what comes next.
        discard(values, "a value");
    }

    fn with<R>(&self, f: impl FnOnce(&mut Option<Box<Map>>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn unbox<T: 'static>(value: Box<dyn Any + Send + Sync>) -> Option<T> {
    value.downcast().ok().map(|value| *value)
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.with(|map| map.as_ref().map_or(0, |map| map.len()));
        write!(f, "Values({len})")
    }
}
