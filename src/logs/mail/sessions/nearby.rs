//! A map from what servers call things to what is known of them. In and out: values by a server's
//! index and a key. What is asked for was mostly put in a moment ago, so the newest have places that
//! their keys tell; what is pushed out of such a place goes to a hash map.

use ahash::AHashMap;

/// A server's index, and what it calls the thing; keys are mixed already.
pub(super) type Id = (u32, u64);

/// Places for the newest.
const PLACES: usize = 512;

/// The map.
#[derive(Debug)]
pub(super) struct Nearby<T> {
    /// A value stands in its own place or in the rest, never in both.
    places: Box<[Option<(Id, T)>]>,
    rest: AHashMap<Id, T>,
}

impl<T: Copy> Default for Nearby<T> {
    fn default() -> Self {
        Self { places: vec![None; PLACES].into(), rest: AHashMap::new() }
    }
}

impl<T: Copy> Nearby<T> {
    /// Forgets all, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.places.fill(None);
        self.rest.clear();
    }

    #[inline]
    pub(super) fn get(&self, id: Id) -> Option<T> {
        match self.places.get(place_of(id)) {
            Some(&Some((known, value))) if known == id => Some(value),
            _ if self.rest.is_empty() => None,
            _ => self.rest.get(&id).copied(),
        }
    }

    /// Puts a value in; gives the one that was there.
    #[inline]
    pub(super) fn insert(&mut self, id: Id, value: T) -> Option<T> {
        let place = self.places.get_mut(place_of(id))?;
        match place.replace((id, value)) {
            Some((known, before)) if known == id => Some(before),
            pushed_out => {
                let before = if self.rest.is_empty() { None } else { self.rest.remove(&id) };
                self.rest.extend(pushed_out);
                before
            }
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, id: Id) {
        match self.places.get_mut(place_of(id)) {
            Some(place) if place.is_some_and(|(known, _)| known == id) => *place = None,
            _ if self.rest.is_empty() => {}
            _ => {
                self.rest.remove(&id);
            }
        }
    }
}

fn place_of((server, key): Id) -> usize {
    (key ^ u64::from(server)) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u8..3, 0u32..3, 0u64..4, 0u64..3), 0..200)) {
            let (mut nearby, mut map) = (Nearby::default(), HashMap::new());
            for (number, (what, server, low, high)) in steps.into_iter().enumerate() {
                let id = (server, low + high * PLACES as u64);
                match what {
                    0 => prop_assert_eq!(nearby.insert(id, number), map.insert(id, number)),
                    1 => {
                        nearby.remove(id);
                        map.remove(&id);
                    }
                    _ => {}
                }
                prop_assert_eq!(nearby.get(id), map.get(&id).copied());
            }
        }
    }
}
