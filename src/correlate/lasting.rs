//! From when to when sessions lasted, and how many did. In: pairs of times. Out: the same, each once
//! with its count, in any order and grouping the same.
//!
//! A source that comes all the time has a pair for each session, and nearly all of them are whole
//! seconds a moment apart: such a pair is one number.

use crate::correlate::piece::count;
use crate::model::time::{SECOND, Timestamp};

/// When something began and ended.
type Ends = (Timestamp, Timestamp);

/// Pairs of times with their counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lasting {
    /// Ascending, each pair once.
    short: Vec<Short>,
    /// Pairs that are no short ones, and what is beyond a short one's count, ascending.
    others: Vec<(Ends, u64)>,
}

/// From the highest bit down: 32 bits for the first second since 1970, 16 for how many seconds
/// further it ended, 16 for the count, which is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Short(u64);

impl Short {
    const COUNT_BITS: u32 = 16;
    const MOST: u64 = (1 << Self::COUNT_BITS) - 1;

    /// A pair without its count, if it is a short one.
    #[inline]
    fn pair((start, end): Ends) -> Option<u64> {
        let first = u32::try_from(start.0 / SECOND).ok()?;
        let length = u16::try_from((end.0 / SECOND).wrapping_sub(start.0 / SECOND)).ok()?;
        let is_whole = start.0 % SECOND == 0 && end.0 % SECOND == 0;
        is_whole.then_some((u64::from(first) << 16 | u64::from(length)) << Self::COUNT_BITS)
    }

    fn is_of(self, pair: u64) -> bool {
        self.0 & !Self::MOST == pair
    }

    fn count(self) -> u64 {
        self.0 & Self::MOST
    }

    fn ends(self) -> Ends {
        let first = i64::from((self.0 >> 32) as u32);
        let last = first + i64::from((self.0 >> Self::COUNT_BITS) as u16);
        (Timestamp(first * SECOND), Timestamp(last * SECOND))
    }
}

impl Lasting {
    /// Adds `n` times that something lasted from `ends.0` to `ends.1`.
    pub fn add(&mut self, ends: Ends, n: u64) {
        if n == 0 {
            return;
        }
        let Some(pair) = Short::pair(ends) else { return count(&mut self.others, ends, n) };
        let beyond = match self.short.last_mut() {
            // Most come in the order of their times.
            Some(last) if last.is_of(pair) => grow(last, n),
            Some(last) if last.0 > pair => self.add_before_the_last(pair, n),
            _ => push(&mut self.short, pair, n),
        };
        if beyond > 0 {
            count(&mut self.others, ends, beyond);
        }
    }

    /// Adds all of another part of the logs.
    pub fn merge(&mut self, other: &Self) {
        for (ends, n) in other.iter() {
            self.add(ends, n);
        }
    }

    /// All of them with their counts, in an order that depends on them alone; one that is counted
    /// very often stands there twice.
    pub fn iter(&self) -> impl Iterator<Item = (Ends, u64)> {
        let short = self.short.iter().map(|short| (short.ends(), short.count()));
        short.chain(self.others.iter().copied())
    }

    /// The latest time at which one began.
    pub fn newest(&self) -> Option<Timestamp> {
        let short = self.short.last().map(|short| short.ends().0);
        short.max(self.others.last().map(|&((start, _), _)| start))
    }

    fn add_before_the_last(&mut self, pair: u64, n: u64) -> u64 {
        let at = self.short.partition_point(|known| known.0 < pair);
        match self.short.get_mut(at) {
            Some(known) if known.is_of(pair) => grow(known, n),
            _ => {
                let fitting = n.min(Short::MOST);
                self.short.insert(at, Short(pair | fitting));
                n - fitting
            }
        }
    }
}

/// Adds a pair that is later than all; gives what is beyond its count.
fn push(all: &mut Vec<Short>, pair: u64, n: u64) -> u64 {
    let fitting = n.min(Short::MOST);
    all.push(Short(pair | fitting));
    n - fitting
}

/// Adds to the count of a pair; gives what is beyond it.
fn grow(short: &mut Short, n: u64) -> u64 {
    let fitting = n.min(Short::MOST - short.count());
    short.0 += fitting;
    n - fitting
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn ends() -> impl Strategy<Value = Ends> {
        let second = prop_oneof![6 => 0i64..4, 1 => -2i64..1, 1 => 0xffff_fffe..0x1_0000_0002i64];
        let start = (second, prop_oneof![9 => Just(0i64), 1 => -1i64..2]);
        let length = prop_oneof![6 => 0i64..3, 1 => 65_534i64..65_538, 1 => -2i64..0];
        let odd = (any::<i64>(), any::<i64>()).prop_map(|(a, b)| (Timestamp(a), Timestamp(b)));
        let usual = (start, length).prop_map(|((second, micros), length)| {
            let start = second * SECOND + micros;
            (Timestamp(start), Timestamp(start + length * SECOND))
        });
        prop_oneof![20 => usual, 1 => odd]
    }

    fn of(told: &[(Ends, u64)]) -> Lasting {
        let mut all = Lasting::default();
        for &(ends, n) in told {
            all.add(ends, n);
        }
        all
    }

    proptest! {
        #[test]
        fn any_order_and_grouping_counts_each_pair(
            told in prop::collection::vec((ends(), prop_oneof![1u64..4, 65_000u64..70_000]), 0..40),
            cut in 0usize..40,
        ) {
            let all = of(&told);
            let mut known: BTreeMap<Ends, u64> = BTreeMap::new();
            all.iter().for_each(|(ends, n)| *known.entry(ends).or_default() += n);
            let mut expected: BTreeMap<Ends, u64> = BTreeMap::new();
            for &(ends, n) in &told {
                *expected.entry(ends).or_default() += n;
            }
            prop_assert_eq!(&known, &expected);
            prop_assert_eq!(all.newest(), expected.keys().map(|(start, _)| *start).max());

            let (one, other) = told.split_at(cut.min(told.len()));
            let mut parts = of(other);
            parts.merge(&of(one));
            prop_assert_eq!(&parts, &all);
            let backwards: Vec<_> = told.iter().rev().copied().collect();
            prop_assert_eq!(&of(&backwards), &all);
        }
    }
}
