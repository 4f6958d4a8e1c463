//! Reads notes. In: bytes as `note` writes them. Out: the flows and sessions, one after the other; their
//! days. Bytes that are no notes end it.

use crate::correlate::note::{
    AUTHS, CLOCK, COUNT, HAS_HELO_NAME, HAS_USER, HELOS, IS_ONE, IS_SESSION, KIND, KINDS, NO_TIME,
    Note, OUTCOMES, SECONDS, SessionNote,
};
use crate::correlate::piece::{FlowFact, SessionFact, SessionKind};
use crate::model::citation::Citation;
use crate::model::time::{SECOND, Timestamp};

/// The notes that stand in some bytes.
#[derive(Debug, Clone)]
pub struct Notes<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Notes<'a> {
    type Item = Note<'a>;

    #[inline]
    fn next(&mut self) -> Option<Note<'a>> {
        let [tag] = self.array()?;
        if tag & IS_SESSION == 0 {
            self.flow(tag).map(Note::Flow)
        } else {
            self.session(tag).map(Note::Session)
        }
    }
}

impl<'a> Notes<'a> {
    fn flow(&mut self, tag: u8) -> Option<FlowFact> {
        let time = match tag >> CLOCK & 3 {
            NO_TIME => None,
            clock => Some(self.start(clock)?),
        };
        let device = self.number()? as u32;
        let at = Citation { input: self.number()? as u32, line: self.number()? };
        let count = if tag & IS_ONE == 0 { self.number()? as u32 } else { 1 };
        let kind = *KINDS.get(usize::from(tag >> KIND & 7))?;
        Some(FlowFact { time, device, kind, count, at })
    }

    fn session(&mut self, tag: u8) -> Option<SessionNote<'a>> {
        let lasted = match tag >> CLOCK & 3 {
            NO_TIME => None,
            clock => {
                let start = self.start(clock)?;
                let unit = if clock == SECONDS { SECOND } else { 1 };
                let length = (self.number()? as i64).wrapping_mul(unit);
                Some((start, Timestamp(start.0.wrapping_add(length))))
            }
        };
        let [kind] = self.array()?;
        let kind = SessionKind {
            helo: *HELOS.get(usize::from(kind & 3))?,
            auth: *AUTHS.get(usize::from(kind >> 2 & 3))?,
            outcome: *OUTCOMES.get(usize::from(kind >> 4))?,
        };
        let helo_name = if tag & HAS_HELO_NAME == 0 { None } else { Some(self.name()?) };
        let sasl_name = if tag & HAS_USER == 0 { None } else { Some(self.name()?) };
        let count = usize::from(tag >> COUNT);
        let input = if count > 0 { self.number()? as u32 } else { 0 };
        let steps = self.numbers(count)?;
        let fact = SessionFact { lasted, kind, helo_name, sasl_name, deliveries: &[] };
        Some(SessionNote { fact, input, steps })
    }

    fn start(&mut self, clock: u8) -> Option<Timestamp> {
        let micros = match clock {
            SECONDS => i64::from(u32::from_le_bytes(self.array()?)) * SECOND,
            _ => i64::from_le_bytes(self.array()?),
        };
        Some(Timestamp(micros))
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let length = self.number()? as usize;
        let (name, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(name)
    }

    /// Passes over so many numbers, and gives their bytes.
    fn numbers(&mut self, count: usize) -> Option<&'a [u8]> {
        let length = self.quick_length_of(count).or_else(|| self.length_of(count))?;
        let (numbers, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(numbers)
    }

    /// How many bytes so many numbers take.
    fn length_of(&self, count: usize) -> Option<usize> {
        let mut length = 0usize;
        for _ in 0..count {
            let rest = self.0.get(length..)?;
            length += rest.iter().position(|byte| *byte < 0x80)? + 1;
        }
        Some(length)
    }

    /// The same by a look at eight bytes at once, which hold the numbers of most notes; none if not.
    fn quick_length_of(&self, count: usize) -> Option<usize> {
        let eight = u64::from_le_bytes(*self.0.first_chunk()?);
        let mut ends = !eight & 0x8080_8080_8080_8080;
        for _ in 1..count {
            ends &= ends.wrapping_sub(1);
        }
        (count > 0 && ends != 0).then(|| ends.trailing_zeros() as usize / 8 + 1)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let [first] = self.array()?;
        // Most numbers are one byte.
        if first < 0x80 { Some(first.into()) } else { self.long_number(first) }
    }

    fn long_number(&mut self, first: u8) -> Option<u64> {
        let mut number = u64::from(first & 0x7f);
        for shift in (7..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Some(number)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    /// The notes of the days that stay.
    pub(crate) fn of_days(mut self, stays: impl Fn(i32) -> bool) -> Vec<u8> {
        let mut left = Vec::new();
        loop {
            let all = self.0;
            let Some(note) = self.next() else { return left };
            let length = all.len() - self.0.len();
            if stays(note.day()) {
                left.extend_from_slice(all.get(..length).unwrap_or_default());
            }
        }
    }

    /// The days of the notes, ascending.
    pub(crate) fn days(self) -> Vec<i32> {
        let mut days: Vec<i32> = Vec::new();
        for note in self {
            let day = note.day();
            if days.last() != Some(&day) {
                days.push(day);
            }
        }
        days.sort_unstable();
        days.dedup();
        days
    }

    /// Whether the notes are of at most so many days: looks no further than it must.
    pub(crate) fn are_of_at_most(self, most: usize) -> bool {
        let (mut days, mut last) = (Vec::new(), None);
        for note in self {
            let day = note.day();
            if last != Some(day) {
                if let Err(at) = days.binary_search(&day) {
                    if days.len() >= most {
                        return false;
                    }
                    days.insert(at, day);
                }
                last = Some(day);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::note::write_number;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_look_at_eight_bytes_finds_the_end_of_numbers(
            numbers in prop::collection::vec(0u32..64, 0..9), cut in 0usize..20,
        ) {
            let mut bytes = Vec::new();
            for bits in &numbers {
                write_number((1 << bits) - 1, &mut bytes);
            }
            bytes.truncate(cut);
            for count in 0..numbers.len() {
                if let Some(length) = Notes(&bytes).quick_length_of(count) {
                    prop_assert_eq!(Some(length), Notes(&bytes).length_of(count));
                }
            }
        }
    }
}
