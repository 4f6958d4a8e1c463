//! Citations as `file:line`. In: cited lines of judged sources and the run's inputs. Out: the
//! lines that a ticket names, the strongest proof of each source first, none twice.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::model::citation::Citation;
use crate::model::input::InputReport;
use crate::model::judged::{CitationKind, CitedLine, JudgedTarget};
use crate::model::session::Proves;
use crate::model::text::lossy;
use crate::tickets::proof;

/// Lines that a ticket cites of one source.
const PER_SOURCE: usize = 8;

/// A line of an input by the input's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The input's path as given or found; bytes that are no UTF-8 as `\xNN`.
    pub file: String,
    /// Line of the decompressed text, from 1.
    pub line: u64,
}

impl Place {
    /// Names a citation; none if the input is not of this run.
    pub fn of(at: Citation, inputs: &[InputReport]) -> Option<Self> {
        let input = inputs.get(at.input as usize)?;
        Some(Self { file: file_name(input).into_owned(), line: at.line })
    }

    /// Reads `file:line`.
    pub fn parse(text: &str) -> Option<Self> {
        let (file, line) = text.rsplit_once(':')?;
        Some(Self { file: file.to_owned(), line: line.parse().ok()? })
    }
}

/// An input's name as citations have it.
pub fn file_name(input: &InputReport) -> Cow<'_, str> {
    lossy(input.path.as_os_str().as_encoded_bytes())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a ticket cites: what resolves it, then its sources in their order.
pub(super) fn evidence(target: &JudgedTarget, inputs: &[InputReport]) -> Vec<Place> {
    let mut places: Vec<Place> = proof::places(target, inputs);
    for source in &target.top_sources {
        for at in strongest(&source.citations) {
            if let Some(place) = Place::of(at, inputs).filter(|place| !places.contains(place)) {
                places.push(place);
            }
        }
    }
    places
}

/// The lines of one source that prove most, at most [`PER_SOURCE`].
pub(super) fn strongest(citations: &[CitedLine]) -> impl Iterator<Item = Citation> {
    let mut ranked: Vec<_> =
        citations.iter().map(|line| (weight(line.kind), line.time, line.at)).collect();
    ranked.sort_unstable();
    ranked.dedup_by_key(|(_, _, at)| *at);
    ranked.into_iter().take(PER_SOURCE).map(|(_, _, at)| at)
}

/// How much a line proves, most first.
fn weight(kind: CitationKind) -> u8 {
    match kind {
        CitationKind::Mail(Proves::Delivery) => 0,
        CitationKind::Mail(Proves::Queued) => 1,
        CitationKind::Mail(Proves::Auth) => 2,
        CitationKind::Mail(Proves::Helo) => 3,
        CitationKind::Permitted => 4,
        CitationKind::Mail(Proves::Connection) => 5,
        CitationKind::Denied => 6,
        CitationKind::Mail(Proves::Presence) => 7,
        CitationKind::Seen => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_lines_come_first_and_once() {
        let line = |kind, line| CitedLine { kind, time: None, at: Citation { input: 0, line } };
        let citations = [
            line(CitationKind::Seen, 9),
            line(CitationKind::Permitted, 3),
            line(CitationKind::Mail(Proves::Helo), 7),
            line(CitationKind::Mail(Proves::Helo), 5),
            line(CitationKind::Mail(Proves::Delivery), 8),
            line(CitationKind::Mail(Proves::Queued), 8),
        ];
        let lines: Vec<u64> = strongest(&citations).map(|at| at.line).collect();
        assert_eq!(lines, [8, 5, 7, 3, 9]);
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        for text in ["mail/mail.log.1.gz:12", "C:odd:name:1"] {
            assert_eq!(Place::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Place::parse("mail.log"), None);
    }
}
