//! The hash by which records are paired. In: what the vendor says is equal in the records of one
//! connection. Out: 64 bits, the same on every machine and in every run, as they may be kept from
//! one run to the next.
//!
//! Eight bytes a step: the two halves of a 128-bit product, folded. Records of a busy firewall are
//! hashed by the million, and a collision costs one duplicate among millions of pairs.

use std::hash::Hasher;

/// An odd number without a pattern (the first bits of the golden ratio).
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A hasher that starts from nothing.
#[derive(Debug, Default)]
pub(super) struct KeyHasher(u64);

impl KeyHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ FACTOR.rotate_left(32)) * u128::from(FACTOR);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.mix(u64::from_le_bytes(*chunk));
        }
        if !rest.is_empty() {
            let tail = rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
            self.mix(tail | (rest.len() as u64) << 56);
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u16(&mut self, number: u16) {
        self.mix(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        let mut last = Self(self.0);
        last.mix(0);
        last.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::hash::Hash;

    use super::*;

    fn key(facts: impl Hash) -> u64 {
        let mut hasher = KeyHasher::default();
        facts.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn the_same_on_every_machine() {
        assert_eq!(key((b"198.51.100.7", 25u16, 4711u32)), 8_627_479_564_914_450_728);
    }

    #[test]
    fn neighbours_differ() {
        let mut keys = BTreeSet::new();
        for port in 0..=u16::MAX {
            keys.insert(key((b"198.51.100.7", port)));
            keys.insert(key((b"198.51.100.8", port)));
            keys.insert(key((port, b"198.51.100.7")));
        }
        assert_eq!(keys.len(), 3 << 16);
        for (one, other) in [("ab", "b"), ("a", "ab"), ("", "\0"), ("12345678", "123456780")] {
            assert_ne!(key(one), key(other));
            assert_ne!(key((one, other)), key((other, one)));
            assert_ne!(key((one, "x", other)), key((one, format!("x{other}"))));
        }
    }
}
