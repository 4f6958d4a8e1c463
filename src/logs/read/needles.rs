//! Finds the lines worth reading in a block. In: the byte patterns of the formats that a file may
//! hold, for the ports that matter. Out: the next place where one of them stands.
//!
//! Most lines of a firewall log are about other ports, so a run spends most of its time here. The
//! way is chosen by what the patterns have in common:
//!
//! * all begin alike (`DPT=25 `, `DPT=587 `): search once for what they share and look at the digits
//!   by hand. One pass, however many ports there are;
//! * up to a few dozen: Teddy, which tests 32 bytes at once for the first bytes of all patterns. More
//!   of them are searched for in several passes, each of which is many times faster than an
//!   automaton of all would be;
//! * the patterns of all formats: search for the digits of the ports, and look around them for the
//!   rest of a pattern. Again one pass, however many formats there are.

use aho_corasick::{AhoCorasick, Input, MatchKind, Span, packed};
use memchr::memmem;

/// Shortest common beginning that is rare enough to be searched for alone.
const SHORTEST_ANCHOR: usize = 4;

/// Most patterns that Teddy takes well: of more it makes a form that is three times slower.
const MOST_PACKED: usize = 32;

/// Most bytes of each pattern that Teddy tests at once.
const LONGEST_TESTED: usize = 4;

/// A byte pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Needle {
    text: Vec<u8>,
    /// Whether no digit may follow: `/25` does not stand in `/25000`.
    ends_number: bool,
}

impl Needle {
    /// A pattern that stands wherever its bytes do.
    pub(super) fn plain(text: &[u8]) -> Self {
        Self { text: text.to_vec(), ends_number: false }
    }

    /// The pattern of a port: where it ends in a digit, so does the port.
    pub(super) fn of_port(text: Vec<u8>) -> Self {
        Self { ends_number: text.last().is_some_and(u8::is_ascii_digit), text }
    }

    /// Whether a pattern of which a place is known that ends there stands in the text.
    fn ends(&self, text: &[u8], end: usize) -> bool {
        !(self.ends_number && text.get(end).is_some_and(u8::is_ascii_digit))
    }
}

/// A search for any of a set of byte patterns: several side by side, none where there is nothing
/// to find.
#[derive(Debug)]
pub(super) struct Search(Vec<Way>);

#[derive(Debug)]
enum Way {
    /// Every line is found.
    EveryLine,
    Anchor {
        anchor: Box<memmem::Finder<'static>>,
        tails: Vec<Tail>,
    },
    Many(Finder, Vec<Tail>),
    Numbers(Numbers),
}

impl Search {
    /// Finds every line.
    pub(super) fn every_line() -> Self {
        Self(vec![Way::EveryLine])
    }

    /// Whether it finds every line.
    pub(super) fn finds_every_line(&self) -> bool {
        matches!(*self.0, [Way::EveryLine])
    }

    /// Finds any of the patterns.
    pub(super) fn any_of(mut needles: Vec<Needle>) -> Self {
        needles.sort();
        needles.dedup_by(|later, first| later.text == first.text);
        if needles.iter().any(|needle| needle.text.is_empty()) {
            return Self::every_line();
        }
        if needles.len() <= MOST_PACKED {
            return Self(needles.chunks(MOST_PACKED).map(Way::new).collect());
        }
        // Teddy tests as many bytes as the shortest pattern has, up to four: the short ones would
        // make it find too much.
        needles.sort_by_key(|needle| needle.text.len().min(LONGEST_TESTED));
        let alike = |a: &Needle, b: &Needle| {
            a.text.len().min(LONGEST_TESTED) == b.text.len().min(LONGEST_TESTED)
        };
        let groups = needles.chunk_by(alike).flat_map(|group| group.chunks(MOST_PACKED));
        Self(groups.map(Way::new).collect())
    }

    /// Finds any of the patterns of one or a few formats, as they are where they are few.
    pub(super) fn any_of_ports(ports: &[u16], needles: Vec<Needle>) -> Self {
        if needles.len() <= MOST_PACKED {
            Self::any_of(needles)
        } else {
            Self::by_ports(ports, needles)
        }
    }

    /// Finds any of the patterns by the digits of the ports in them.
    pub(super) fn by_ports(ports: &[u16], needles: Vec<Needle>) -> Self {
        Self::numbers(ports, needles, Around::Pattern)
    }

    /// Finds the ports' digits, whatever stands around them: for lines inside JSON or CSV, where
    /// quotes and tabs are written in another way. Patterns without digits (names of services)
    /// are searched for as they are.
    pub(super) fn digits_of(ports: &[u16], needles: Vec<Needle>) -> Self {
        Self::numbers(ports, needles, Around::AnythingElse)
    }

    fn numbers(ports: &[u16], needles: Vec<Needle>, around: Around) -> Self {
        let digits: Vec<Vec<u8>> = ports.iter().map(|port| port.to_string().into_bytes()).collect();
        let mut contexts = vec![Vec::new(); digits.len()];
        let mut others = Vec::new();
        for needle in needles {
            match contexts_of(&needle.text, &digits) {
                Some((port, context)) => contexts.get_mut(port).into_iter().for_each(|of_port| {
                    of_port.push(context.clone());
                }),
                None => others.push(needle),
            }
        }
        let texts: Vec<&[u8]> = digits.iter().map(Vec::as_slice).collect();
        let mut search = Self::any_of(others);
        if let Some(finder) = Finder::new(&texts)
            && !search.finds_every_line()
        {
            search.0.push(Way::Numbers(Numbers { finder, around, contexts }));
        }
        search
    }

    /// Whether a pattern is known to begin at `at`, without any search. Where line follows line, the
    /// marks of one product stand below each other.
    pub(super) fn stands_at(&self, text: &[u8], at: usize) -> bool {
        self.0.iter().any(|way| way.stands_at(text, at))
    }

    /// Starts looking through a text.
    pub(super) fn hits(&self) -> Hits<'_> {
        Hits(self.0.iter().map(|way| (way, Known::Nothing)).collect())
    }
}

impl Way {
    /// A search for patterns that are sorted.
    fn new(needles: &[Needle]) -> Self {
        let shared = common_start(needles);
        if let [first, rest @ ..] = needles
            && (shared >= SHORTEST_ANCHOR || rest.is_empty())
        {
            let anchor = first.text.get(..shared).unwrap_or(&first.text);
            return Self::Anchor {
                anchor: Box::new(memmem::Finder::new(anchor).into_owned()),
                tails: needles.iter().map(|needle| Tail::new(needle, shared)).collect(),
            };
        }
        let texts: Vec<&[u8]> = needles.iter().map(|needle| &*needle.text).collect();
        let whole = || needles.iter().map(|needle| Tail::new(needle, 0)).collect();
        Finder::new(&texts).map_or(Self::EveryLine, |finder| Self::Many(finder, whole()))
    }

    /// Whether a pattern is known to begin at `at`.
    fn stands_at(&self, text: &[u8], at: usize) -> bool {
        let Some(rest) = text.get(at..) else { return false };
        match self {
            Self::EveryLine => !rest.is_empty(),
            Self::Anchor { anchor, tails } => {
                rest.strip_prefix(anchor.needle()).is_some_and(|tail| any_stands(tails, tail))
            }
            Self::Many(_, patterns) => any_stands(patterns, rest),
            // Not worth looking at what stands around the digits.
            Self::Numbers(_) => false,
        }
    }

    /// The next place of a pattern at or after `from`, which is the start of a line.
    fn next(&self, text: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::EveryLine => (from < text.len()).then_some(from),
            Self::Anchor { anchor, tails } => {
                let found = next_anchored(text.get(from..)?, anchor, tails)?;
                Some(from.saturating_add(found))
            }
            Self::Many(finder, needles) => next_of_many(text, from, finder, needles),
            Self::Numbers(numbers) => numbers.next(text, from),
        }
    }
}

/// Looks through one text from front to back: for each of the searches side by side, what it found
/// last. Without that the rarer ones would look through the rest of the text again for every hit of
/// the others.
#[derive(Debug)]
pub(super) struct Hits<'s>(Vec<(&'s Way, Known)>);

/// What a search found last.
#[derive(Debug, Clone, Copy)]
enum Known {
    Nothing,
    At(usize),
    NoMore,
}

impl Hits<'_> {
    /// The next place of a pattern at or after `from`, which is the start of a line and never less
    /// than before.
    pub(super) fn next(&mut self, text: &[u8], from: usize) -> Option<usize> {
        let places = self.0.iter_mut();
        places.filter_map(|(way, known)| known.at_or_after(from, || way.next(text, from))).min()
    }
}

impl Known {
    fn at_or_after(&mut self, from: usize, look: impl FnOnce() -> Option<usize>) -> Option<usize> {
        match *self {
            Self::At(at) if at >= from => return Some(at),
            Self::NoMore => return None,
            Self::At(_) | Self::Nothing => {}
        }
        let found = look();
        *self = found.map_or(Self::NoMore, Self::At);
        found
    }
}

fn next_of_many(text: &[u8], from: usize, finder: &Finder, patterns: &[Tail]) -> Option<usize> {
    let mut at = from;
    loop {
        let found = finder.find(text, at)?;
        let start = text.get(found.start..)?;
        // The longest was found; where it does not end, a shorter one may.
        let longest = patterns.get(found.pattern).map(std::slice::from_ref);
        if any_stands(longest.unwrap_or_default(), start) || any_stands(patterns, start) {
            return Some(found.start);
        }
        at = found.start.saturating_add(1);
    }
}

/// The anchor stands in every line of the format, so this loop runs once a line: one jump of
/// `memmem`, then a comparison of a word for each pattern.
fn next_anchored(text: &[u8], anchor: &memmem::Finder<'_>, tails: &[Tail]) -> Option<usize> {
    let length = anchor.needle().len();
    anchor.find_iter(text).find(|&at| {
        let tail = text.get(at.saturating_add(length)..).unwrap_or_default();
        any_stands(tails, tail)
    })
}

/// A pattern behind its anchor, or the whole of it where there is none.
#[derive(Debug)]
struct Tail {
    rest: Needle,
    /// Its first eight bytes as a number, and which of them there are.
    start: u64,
    mask: u64,
    /// Whether they are all there is to it.
    is_word: bool,
}

impl Tail {
    fn new(needle: &Needle, anchor: usize) -> Self {
        let rest = Needle { text: needle.text.get(anchor..).unwrap_or_default().into(), ..*needle };
        let bytes = rest.text.iter().take(8).rev();
        let start = bytes.clone().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let mask = bytes.fold(0, |word, _| word << 8 | 0xff);
        let is_word = rest.text.len() <= 8 && !rest.ends_number;
        Self { rest, start, mask, is_word }
    }

    fn begins(&self, text: &[u8]) -> bool {
        text.starts_with(&self.rest.text) && self.rest.ends(text, self.rest.text.len())
    }
}

/// Whether the text begins with one of the patterns. The whole of one is compared only where its first
/// bytes agree.
#[inline]
fn any_stands(patterns: &[Tail], text: &[u8]) -> bool {
    let Some(start) = text.first_chunk() else {
        return patterns.iter().any(|pattern| pattern.begins(text));
    };
    let start = u64::from_le_bytes(*start);
    let stands = |pattern: &Tail| {
        start & pattern.mask == pattern.start && (pattern.is_word || pattern.begins(text))
    };
    patterns.iter().any(stands)
}

/// A search for several patterns at once; of those that begin at one place the longest.
#[derive(Debug)]
enum Finder {
    Packed(Box<packed::Searcher>),
    Automaton(Box<AhoCorasick>),
}

/// Where a pattern stands, and which.
struct Found {
    start: usize,
    end: usize,
    pattern: usize,
}

impl Finder {
    /// None where there is nothing to find.
    fn new(patterns: &[&[u8]]) -> Option<Self> {
        if patterns.is_empty() {
            return None;
        }
        if patterns.len() <= MOST_PACKED {
            let mut config = packed::Config::new();
            let longest = packed::MatchKind::LeftmostLongest;
            let packed = config.match_kind(longest).builder().extend(patterns).build();
            if let Some(searcher) = packed {
                return Some(Self::Packed(Box::new(searcher)));
            }
        }
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns);
        built.ok().map(|automaton| Self::Automaton(Box::new(automaton)))
    }

    fn find(&self, text: &[u8], from: usize) -> Option<Found> {
        let span = Span { start: from, end: text.len() };
        let found = match self {
            Self::Packed(searcher) => searcher.find_in(text, span)?,
            Self::Automaton(automaton) => automaton.find(Input::new(text).span(span))?,
        };
        let pattern = found.pattern().as_usize();
        Some(Found { start: found.start(), end: found.end(), pattern })
    }
}

/// What has to stand around the digits of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    /// The rest of one of its patterns.
    Pattern,
    /// No other digits.
    AnythingElse,
}

/// What stands before and behind the digits of the port in a pattern.
type Context = (Vec<u8>, Vec<u8>);

/// A search for ports' digits between bytes that are no digits.
#[derive(Debug)]
struct Numbers {
    finder: Finder,
    around: Around,
    /// For each port, the contexts that its patterns want.
    contexts: Vec<Vec<Context>>,
}

impl Numbers {
    fn next(&self, text: &[u8], from: usize) -> Option<usize> {
        let is_digit =
            |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_digit);
        let mut at = from;
        loop {
            let found = self.finder.find(text, at)?;
            let alone = !is_digit(found.start.checked_sub(1)) && !is_digit(Some(found.end));
            if alone && (self.around == Around::AnythingElse || self.has_context(text, &found)) {
                return Some(found.start);
            }
            at = found.end;
        }
    }

    fn has_context(&self, text: &[u8], found: &Found) -> bool {
        let (before, behind) = (text.get(..found.start), text.get(found.end..));
        let (before, behind) = (before.unwrap_or_default(), behind.unwrap_or_default());
        let contexts = self.contexts.get(found.pattern).map(Vec::as_slice).unwrap_or_default();
        contexts.iter().any(|(head, tail)| {
            // Most fail at the byte next to the digits.
            head.last().is_none_or(|last| before.last() == Some(last))
                && before.ends_with(head)
                && behind.starts_with(tail)
        })
    }
}

/// Which port's digits stand in a pattern, and what stands around them.
fn contexts_of(needle: &[u8], digits: &[Vec<u8>]) -> Option<(usize, Context)> {
    let is_digit =
        |at: Option<usize>| at.and_then(|at| needle.get(at)).is_some_and(u8::is_ascii_digit);
    digits.iter().enumerate().find_map(|(port, digits)| {
        let start = memmem::rfind(needle, digits)?;
        let end = start.checked_add(digits.len())?;
        let alone = !is_digit(start.checked_sub(1)) && !is_digit(Some(end));
        let context = (needle.get(..start)?.to_vec(), needle.get(end..)?.to_vec());
        alone.then_some((port, context))
    })
}

/// How many bytes all patterns begin with.
fn common_start(needles: &[Needle]) -> usize {
    // Sorted, so that what the first and the last share all share.
    match needles {
        [first, .., last] => first.text.iter().zip(&last.text).take_while(|(a, b)| a == b).count(),
        [only] => only.text.len(),
        [] => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn needles(patterns: &[&str]) -> Vec<Needle> {
        patterns.iter().map(|pattern| Needle::of_port(pattern.as_bytes().to_vec())).collect()
    }

    fn all(search: &Search, text: &str) -> Vec<usize> {
        let mut found = Vec::new();
        let mut hits = search.hits();
        let mut from = 0;
        while let Some(at) = hits.next(text.as_bytes(), from) {
            found.push(at);
            from = at + 1;
        }
        found
    }

    #[test]
    fn every_way_finds_the_same_places() {
        let text = "a DPT=25 b DPT=250 c DPT=587 DPT=4 ,25, SPT=25 DPT=25 ";
        let anchored = Search::any_of(needles(&["DPT=25 ", "DPT=587 "]));
        assert!(matches!(*anchored.0, [Way::Anchor { .. }]));
        assert_eq!(all(&anchored, text), [2, 21, 47]);
        let mixed = Search::any_of(needles(&["DPT=25 ", "DPT=587 ", ",25,"]));
        assert_eq!(all(&mixed, text), [2, 21, 35, 47]);
        let one = Search::any_of(needles(&["DPT=25 ", "DPT=25 "]));
        assert_eq!(all(&one, text), [2, 47]);
        assert_eq!(all(&Search::any_of(Vec::new()), text), Vec::<usize>::new());
        let many = (0..90u16).map(|n| Needle::of_port(format!(",{n},").into_bytes())).collect();
        let several = Search::any_of(many);
        assert_eq!(several.0.len(), 4);
        assert_eq!(all(&several, text), [35]);
        assert_eq!(all(&several, "x,7,8 ,88,9,,1,"), [1, 6, 9, 12]);
    }

    #[test]
    fn a_pattern_that_ends_in_a_digit_ends_a_number() {
        let text = "/25 /250 port=25 port=251 port=2525 port=25252 (25) /smtp9 :25";
        let many =
            Search::any_of(needles(&["/25", "port=25", "port=2525", "(25)", "/smtp", ":25"]));
        assert_eq!(all(&many, text), [0, 9, 26, 47, 52, 59]);
        let anchored = Search::any_of(needles(&["port=25", "port=2525"]));
        assert!(matches!(*anchored.0, [Way::Anchor { .. }]));
        assert_eq!(all(&anchored, text), [9, 26]);
        assert_eq!(all(&Search::any_of(needles(&["port=25"])), text), [9]);
        let plain = Search::any_of(vec![Needle::plain(b"/25"), Needle::of_port(b"/25".to_vec())]);
        assert_eq!(all(&plain, text), [0, 4]);
        assert_eq!(all(&anchored, "port=25"), [0]);
        let long = Search::any_of(needles(&["port=25 is long", "port=25 is short"]));
        assert_eq!(all(&long, "port=25 is longer port=25 is short"), [0, 18]);
    }

    #[test]
    fn patterns_are_found_by_their_ports() {
        let text = "a DPT=25 b DPT=250 c DPT=587 /smtp ,25, SPT=25 DPT=2525 :25";
        let patterns = needles(&["DPT=25 ", "DPT=587 ", "DPT=2525 ", ",25,", "/smtp", ":25"]);
        let search = Search::by_ports(&[25, 587, 2525], patterns.clone());
        assert_eq!(all(&search, text), [6, 25, 29, 36, 51, 57]);
        assert_eq!(all(&Search::any_of(patterns), text).len(), 6);
        assert_eq!(all(&Search::by_ports(&[], needles(&["/smtp"])), text), [29]);
    }

    #[test]
    fn digits_stand_alone() {
        let text = r#"125 2525 {"a":25} \t587\t 4650 a/smtp 465"#;
        let search = Search::digits_of(&[25, 465, 587, 2525], needles(&["/smtp", "/25"]));
        assert_eq!(all(&search, text), [4, 14, 20, 32, 38]);
    }

    proptest! {
        #[test]
        fn nothing_that_stands_there_is_missed(
            patterns in proptest::collection::vec("[,=:][ab1]{0,4}", 1..80),
            text in "[ab1,=: ]{0,60}",
        ) {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let needles = needles(&patterns);
            let stands = |at: usize| {
                needles.iter().any(|needle| {
                    text.as_bytes()[at..].starts_with(&needle.text)
                        && needle.ends(text.as_bytes(), at + needle.text.len())
                })
            };
            let expected: Vec<usize> = (0..text.len()).filter(|&at| stands(at)).collect();
            let search = Search::any_of(needles.clone());
            prop_assert_eq!(all(&search, &text), &expected[..]);
            let known = (0..text.len()).filter(|&at| search.stands_at(text.as_bytes(), at));
            prop_assert_eq!(known.collect::<Vec<_>>(), expected);
        }
    }
}
