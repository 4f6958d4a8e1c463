//! Finds the lines worth reading in a block. In: the byte patterns of the formats that a file
//! holds, for the ports that matter. Out: the next place where one of them stands.
//!
//! Most lines of a firewall log are about other ports, so a run spends most of its time here. The
//! way is chosen by what the patterns have in common:
//!
//! * all begin alike (`DPT=25 `, `DPT=587 `): search once for what they share and look at the digits
//!   by hand. One pass, however many ports there are;
//! * up to a few dozen: Teddy, which tests 32 bytes at once for the first bytes of all patterns;
//! * more: an automaton.

use aho_corasick::{AhoCorasick, MatchKind, packed};
use memchr::memmem;

/// Shortest common beginning that is rare enough to be searched for alone.
const SHORTEST_ANCHOR: usize = 4;

/// Most patterns that Teddy takes well.
const MOST_PACKED: usize = 48;

/// A search for any of a set of byte patterns.
#[derive(Debug)]
pub(super) struct Search(Way);

#[derive(Debug)]
enum Way {
    /// No pattern: nothing is ever found.
    Nothing,
    /// Every line is found.
    EveryLine,
    One(memmem::Finder<'static>),
    Anchor {
        anchor: memmem::Finder<'static>,
        tails: Vec<Vec<u8>>,
    },
    Packed(Box<packed::Searcher>),
    Automaton(Box<AhoCorasick>),
    /// The digits of ports with no digit before or after them.
    Digits {
        digits: Box<AhoCorasick>,
        others: Option<Box<AhoCorasick>>,
    },
}

impl Search {
    /// Finds every line.
    pub(super) fn every_line() -> Self {
        Self(Way::EveryLine)
    }

    /// Finds any of the patterns.
    pub(super) fn any_of(mut needles: Vec<Vec<u8>>) -> Self {
        needles.sort();
        needles.dedup();
        if needles.iter().any(Vec::is_empty) {
            return Self::every_line();
        }
        let shared = common_start(&needles);
        let way = match needles.as_slice() {
            [] => Way::Nothing,
            [one] => Way::One(memmem::Finder::new(one).into_owned()),
            [first, ..] if shared >= SHORTEST_ANCHOR => Way::Anchor {
                anchor: memmem::Finder::new(first.get(..shared).unwrap_or(first)).into_owned(),
                tails: needles.iter().filter_map(|n| n.get(shared..)).map(Into::into).collect(),
            },
            _ => packed_or_automaton(&needles),
        };
        Self(way)
    }

    /// Finds the ports' digits between bytes that are no digits: for lines that stand inside JSON
    /// or CSV, where quotes and tabs are written in another way. Patterns without digits (names of
    /// services) are searched for as they are.
    pub(super) fn digits_of(ports: &[u16], needles: &[Vec<u8>]) -> Self {
        let digits: Vec<String> = ports.iter().map(u16::to_string).collect();
        let bare: Vec<&Vec<u8>> =
            needles.iter().filter(|needle| !needle.iter().any(u8::is_ascii_digit)).collect();
        // Leftmost-longest, so that 2525 is not taken for a 25 that a digit follows.
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&digits);
        let Ok(search) = built else { return Self::every_line() };
        let others = if bare.is_empty() { None } else { AhoCorasick::new(&bare).ok() };
        Self(Way::Digits { digits: Box::new(search), others: others.map(Box::new) })
    }

    /// The next place of a pattern at or after `from`, which is the start of a line.
    pub(super) fn next(&self, text: &[u8], from: usize) -> Option<usize> {
        let rest = text.get(from..)?;
        let found = match &self.0 {
            Way::Nothing => None,
            Way::EveryLine => (!rest.is_empty()).then_some(0),
            Way::One(finder) => finder.find(rest),
            Way::Anchor { anchor, tails } => next_anchored(rest, anchor, tails),
            Way::Packed(searcher) => searcher.find(rest).map(|found| found.start()),
            Way::Automaton(automaton) => automaton.find(rest).map(|found| found.start()),
            Way::Digits { digits, others } => {
                let number = next_number(rest, digits);
                let other = others.as_ref().and_then(|o| o.find(rest)).map(|found| found.start());
                [number, other].into_iter().flatten().min()
            }
        };
        found.map(|at| at.saturating_add(from))
    }
}

/// The anchor stands in every line of the format, so this loop runs once a line: one jump of
/// `memmem`, then a comparison of a handful of bytes.
fn next_anchored(text: &[u8], anchor: &memmem::Finder<'_>, tails: &[Vec<u8>]) -> Option<usize> {
    let length = anchor.needle().len();
    anchor.find_iter(text).find(|&at| {
        let tail = text.get(at.saturating_add(length)..).unwrap_or_default();
        // Byte by byte: a call of memcmp for three bytes, ten million times, is a tenth of a run.
        tails.iter().any(|wanted| {
            tail.len() >= wanted.len() && tail.iter().zip(wanted).all(|(byte, want)| byte == want)
        })
    })
}

fn next_number(text: &[u8], digits: &AhoCorasick) -> Option<usize> {
    let is_digit =
        |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_digit);
    digits
        .find_iter(text)
        .find(|found| !is_digit(found.start().checked_sub(1)) && !is_digit(Some(found.end())))
        .map(|found| found.start())
}

fn packed_or_automaton(needles: &[Vec<u8>]) -> Way {
    if needles.len() <= MOST_PACKED
        && let Some(searcher) = packed::Searcher::new(needles)
    {
        return Way::Packed(Box::new(searcher));
    }
    AhoCorasick::new(needles)
        .map_or(Way::EveryLine, |automaton| Way::Automaton(Box::new(automaton)))
}

/// How many bytes all patterns begin with.
fn common_start(needles: &[Vec<u8>]) -> usize {
    // Sorted, so that what the first and the last share all share.
    match needles {
        [first, .., last] => first.iter().zip(last).take_while(|(a, b)| a == b).count(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needles(patterns: &[&str]) -> Vec<Vec<u8>> {
        patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect()
    }

    fn all(search: &Search, text: &str) -> Vec<usize> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(at) = search.next(text.as_bytes(), from) {
            found.push(at);
            from = at + 1;
        }
        found
    }

    #[test]
    fn every_way_finds_the_same_places() {
        let text = "a DPT=25 b DPT=250 c DPT=587 DPT=4 ,25, SPT=25 DPT=25 ";
        let anchored = Search::any_of(needles(&["DPT=25 ", "DPT=587 "]));
        assert!(matches!(anchored.0, Way::Anchor { .. }));
        assert_eq!(all(&anchored, text), [2, 21, 47]);
        let mixed = Search::any_of(needles(&["DPT=25 ", "DPT=587 ", ",25,"]));
        assert_eq!(all(&mixed, text), [2, 21, 35, 47]);
        let one = Search::any_of(needles(&["DPT=25 ", "DPT=25 "]));
        assert_eq!(all(&one, text), [2, 47]);
        assert_eq!(all(&Search::any_of(Vec::new()), text), Vec::<usize>::new());
        let many: Vec<Vec<u8>> = (0..90u16).map(|n| format!(",{n},").into_bytes()).collect();
        let automaton = Search::any_of(many);
        assert!(matches!(automaton.0, Way::Automaton(_)));
        assert_eq!(all(&automaton, text), [35]);
    }

    #[test]
    fn digits_stand_alone() {
        let text = r#"125 2525 {"a":25} \t587\t 4650 a/smtp 465"#;
        let search = Search::digits_of(&[25, 465, 587, 2525], &needles(&["/smtp", "/25"]));
        assert_eq!(all(&search, text), [4, 14, 20, 32, 38]);
    }
}
