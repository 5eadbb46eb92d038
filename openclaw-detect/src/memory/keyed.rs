//! Something for each key, at most so many and so large: the one that was not used for longest makes room.

use std::collections::HashMap;
use std::sync::Arc;

/// How large something is, in bytes, about.
pub(super) trait Weigh {
    /// What it holds beside itself.
    fn weight(&self) -> usize;
}

impl Weigh for u64 {
    fn weight(&self) -> usize {
        0
    }
}

/// Values by key, in the order of their last use. Each operation takes a constant time.
#[derive(Debug)]
pub(super) struct Keyed<V> {
    places: HashMap<Arc<[u8]>, u32>,
    slots: Vec<Slot<V>>,
    newest: u32,
    oldest: u32,
    max_keys: usize,
    max_bytes: usize,
    bytes: usize,
    evicted: u64,
}

#[derive(Debug)]
struct Slot<V> {
    key: Arc<[u8]>,
    value: V,
    newer: u32,
    older: u32,
}

/// No slot.
const NONE: u32 = u32::MAX;

impl<V: Weigh> Keyed<V> {
    /// Room for so many keys, and for so many bytes with all keys and values.
    pub(super) fn new(max_keys: usize, max_bytes: usize) -> Self {
        Keyed {
            places: HashMap::new(),
            slots: Vec::new(),
            newest: NONE,
            oldest: NONE,
            max_keys: max_keys.clamp(1, NONE as usize - 1),
            max_bytes,
            bytes: 0,
            evicted: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// What all keys and values take.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many keys had to make room for others.
    pub(super) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// What a key and its value take.
    fn cost(key: &[u8], value: &V) -> usize {
        /// The entry in the map of places, and the counts of the key.
        const OVERHEAD: usize = 48;
        key.len() + value.weight() + size_of::<Slot<V>>() + OVERHEAD
    }

    /// Whether there is the key.
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.places.contains_key(key)
    }

    /// Uses the value of a key, which is made where there is none, and is the newest then.
    pub(super) fn with<R>(
        &mut self,
        key: &[u8],
        make: impl FnOnce() -> V,
        act: impl FnOnce(&mut V) -> R,
    ) -> R {
        let at = match self.places.get(key) {
            Some(at) => *at,
            None => self.insert(key.into(), make()),
        };
        self.make_newest(at);
        let result = self.change_at(at, act);
        while (self.places.len() > self.max_keys || self.bytes > self.max_bytes) && self.places.len() > 1 {
            self.evict_oldest();
        }
        result
    }

    /// The oldest makes room for what is not of this map.
    pub(super) fn evict_oldest(&mut self) {
        if self.oldest != NONE {
            self.remove_slot(self.oldest);
            self.evicted += 1;
        }
    }

    /// Changes the value of a key, where there is one. It stays as old as it was.
    pub(super) fn change<R>(&mut self, key: &[u8], act: impl FnOnce(&mut V) -> R) -> Option<R> {
        let at = *self.places.get(key)?;
        Some(self.change_at(at, act))
    }

    fn change_at<R>(&mut self, at: u32, act: impl FnOnce(&mut V) -> R) -> R {
        let Slot { key, value, .. } = &mut self.slots[at as usize];
        let before = Self::cost(key, value);
        let result = act(value);
        self.bytes = self.bytes - before + Self::cost(key, value);
        result
    }

    /// Changes all values.
    pub(super) fn change_all(&mut self, act: impl Fn(&mut V)) {
        for Slot { key, value, .. } in &mut self.slots {
            self.bytes -= Self::cost(key, value);
            act(value);
            self.bytes += Self::cost(key, value);
        }
    }

    /// Uses the value of a key, where there is one. It stays as old as it was.
    pub(super) fn get(&self, key: &[u8]) -> Option<&V> {
        self.places.get(key).map(|at| &self.slots[*at as usize].value)
    }

    /// Forgets a key.
    pub(super) fn remove(&mut self, key: &[u8]) {
        if let Some(at) = self.places.get(key) {
            self.remove_slot(*at);
        }
    }

    /// Forgets the oldest while it is over, at most `at_most` of them.
    pub(super) fn forget(&mut self, at_most: usize, is_over: impl Fn(&V) -> bool) {
        for _ in 0..at_most {
            let Some(slot) = self.slots.get(self.oldest as usize) else { return };
            if !is_over(&slot.value) {
                return;
            }
            self.remove_slot(self.oldest);
        }
    }

    /// The oldest makes room, without being missed.
    pub(super) fn drop_oldest(&mut self) {
        if self.oldest != NONE {
            self.remove_slot(self.oldest);
        }
    }

    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        let evicted = self.evicted;
        *self = Keyed { evicted, ..Keyed::new(self.max_keys, self.max_bytes) };
    }

    /// The keys and values, from the oldest to the newest.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        let slot = |at: u32| self.slots.get(at as usize);
        std::iter::successors(slot(self.oldest), move |before| slot(before.newer))
            .map(|slot| (&*slot.key, &slot.value))
    }

    fn insert(&mut self, key: Arc<[u8]>, value: V) -> u32 {
        self.bytes += Self::cost(&key, &value);
        // There are fewer slots than numbers: see `max_keys`.
        let at = self.slots.len() as u32;
        self.slots.push(Slot { key: Arc::clone(&key), value, newer: NONE, older: NONE });
        self.places.insert(key, at);
        self.link(at);
        at
    }

    /// The last slot moves to the place of the one that goes.
    fn remove_slot(&mut self, at: u32) {
        self.unlink(at);
        let slot = self.slots.swap_remove(at as usize);
        self.bytes -= Self::cost(&slot.key, &slot.value);
        self.places.remove(&slot.key);
        let Some(Slot { key, newer, older, .. }) = self.slots.get(at as usize) else { return };
        let (newer, older) = (*newer, *older);
        if let Some(place) = self.places.get_mut(key) {
            *place = at;
        }
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = at,
            None => self.newest = at,
        }
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = at,
            None => self.oldest = at,
        }
    }

    fn make_newest(&mut self, at: u32) {
        if self.newest != at {
            self.unlink(at);
            self.link(at);
        }
    }

    fn link(&mut self, at: u32) {
        let before = std::mem::replace(&mut self.newest, at);
        self.slots[at as usize].older = before;
        self.slots[at as usize].newer = NONE;
        match self.slots.get_mut(before as usize) {
            Some(slot) => slot.newer = at,
            None => self.oldest = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Slot { newer, older, .. } = self.slots[at as usize];
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Weigh for Vec<u8> {
        fn weight(&self) -> usize {
            self.len()
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map_whose_oldest_keys_make_room(steps in prop::collection::vec((0..12u8, 0..3u8), 0..200)) {
            let mut keyed: Keyed<u64> = Keyed::new(5, usize::MAX);
            // From the oldest to the newest.
            let mut model: Vec<(u8, u64)> = Vec::new();
            let mut evicted = 0;
            for (key, what) in steps {
                let before = model.iter().position(|(k, _)| *k == key).map(|at| model.remove(at));
                if what == 0 {
                    keyed.remove(&[key]);
                } else {
                    let value = before.map_or(10, |(_, value)| value) + 1;
                    model.push((key, value));
                    prop_assert_eq!(keyed.with(&[key], || 10, |v| { *v += 1; *v }), value);
                    if model.len() > 5 {
                        model.remove(0);
                        evicted += 1;
                    }
                }
                let found: Vec<_> = keyed.iter().map(|(key, value)| (key[0], *value)).collect();
                prop_assert_eq!(&found, &model);
                prop_assert_eq!((keyed.len(), keyed.evicted()), (model.len(), evicted));
                prop_assert_eq!(keyed.slots.len(), keyed.len());
            }
        }

        #[test]
        fn what_is_heavy_makes_room_too(weights in prop::collection::vec((0..20u8, 0..2000usize), 1..100)) {
            let mut keyed: Keyed<Vec<u8>> = Keyed::new(1000, 8000);
            for (key, weight) in weights {
                keyed.with(&[key], Vec::new, |value| value.resize(weight, 0));
                let bytes: usize = keyed.iter().map(|(key, value)| Keyed::cost(key, value)).sum();
                prop_assert_eq!(bytes, keyed.bytes);
                prop_assert!(bytes <= 8000 || keyed.len() == 1);
            }
        }
    }

    #[test]
    fn a_flood_of_keys_takes_no_more_memory_than_the_limit() {
        let mut keyed: Keyed<u64> = Keyed::new(1000, usize::MAX);
        for key in 0..100_000u32 {
            keyed.with(&key.to_le_bytes(), || 0, |value| *value += 1);
        }
        assert_eq!((keyed.len(), keyed.evicted()), (1000, 99_000));
        assert!(keyed.slots.len() <= 1001);
    }
}
