// SPDX-License-Identifier: MIT OR Apache-2.0

//! A cache of the values that were used last.

/// Values by key.
pub struct Recent<K, V> {
    /// Each with the number of its last use.
    entries: Vec<(u64, K, V)>,
    uses: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new(), uses: 0 }
    }
}

impl<K: PartialEq, V> Recent<K, V> {
    /// Removes those that were not used for the longest time until at most `most` are left.
    pub fn evict(&mut self, most: usize) {
        while self.entries.len() > most {
            let uses = self.entries.iter().map(|(used, ..)| *used).enumerate();
            let Some((oldest, _)) = uses.min_by_key(|(_, used)| *used) else { return };
            self.entries.swap_remove(oldest);
        }
    }

    /// The index of the value of `key`, which `make` makes if it is missing. Valid until the next
    /// [`Recent::evict`].
    pub fn index<E>(&mut self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<usize, E> {
        self.uses += 1;
        let found = self.entries.iter().position(|(_, own, _)| *own == key);
        let index = match found {
            Some(index) => index,
            None => {
                self.entries.push((0, key, make()?));
                self.entries.len() - 1
            }
        };
        self.entries[index].0 = self.uses;
        Ok(index)
    }

    /// The value at `index`.
    pub fn get(&self, index: usize) -> &V {
        &self.entries[index].2
    }

    /// The value at `index`.
    pub fn get_mut(&mut self, index: usize) -> &mut V {
        &mut self.entries[index].2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_used_last_stay() {
        let mut recent = Recent::default();
        let mut made = Vec::new();
        for key in [1, 2, 1, 3, 1, 2] {
            recent.evict(2);
            let make = || {
                made.push(key);
                Ok::<_, ()>(10 * key)
            };
            let index = recent.index(key, make).unwrap();
            assert_eq!(*recent.get(index), 10 * key);
        }
        assert_eq!(made, [1, 2, 3, 2]);
    }
}
