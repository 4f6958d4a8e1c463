//! The lines that a session of one block keeps, without memory of its own. In: lines and what they
//! prove, in order. Out: of each kind of proof the first and the last.

use crate::model::session::Proves;

/// The lines that a session keeps: of each kind of proof the first and the last, as
/// [`super::Keep::Proofs`] wants them, in the order in which they were added.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cited {
    lines: [(u32, Proves); MOST_CITED],
    count: usize,
}

/// Two of each kind of proof.
const MOST_CITED: usize = 12;

impl Default for Cited {
    fn default() -> Self {
        Self { lines: [(0, Proves::Presence); MOST_CITED], count: 0 }
    }
}

impl Cited {
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    #[inline]
    pub(super) fn cite(&mut self, proves: Proves, line: u32) {
        let cited = self.lines.get_mut(..self.count).unwrap_or_default();
        if cited.last() == Some(&(line, proves)) {
            return;
        }
        let mut same = cited.iter_mut().filter(|(_, known)| *known == proves).map(|(line, _)| line);
        if let (Some(_), Some(last)) = (same.next(), same.next()) {
            *last = line;
        } else if let Some(free) = self.lines.get_mut(self.count) {
            *free = (line, proves);
            self.count += 1;
        }
    }

    /// Adds them in their order; they mostly have it.
    pub(super) fn add_to(&self, lines: &mut Vec<(u32, Proves)>) {
        let before = lines.len();
        lines.extend_from_slice(self.lines.get(..self.count).unwrap_or_default());
        match lines.get_mut(before..) {
            Some(added) if !added.is_sorted() => added.sort_unstable(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_line_of_each_kind_are_kept() {
        use Proves::{Connection, Helo, Presence};
        let mut cited = Cited::default();
        let told = [
            (3, Connection),
            (4, Helo),
            (4, Helo),
            (5, Presence),
            (6, Helo),
            (8, Helo),
            (3, Connection),
            (9, Presence),
        ];
        for (line, proves) in told {
            cited.cite(proves, line);
        }
        let mut lines = Vec::new();
        cited.add_to(&mut lines);
        let expected =
            [(3, Connection), (3, Connection), (4, Helo), (5, Presence), (8, Helo), (9, Presence)];
        assert_eq!(lines, expected);
    }
}
