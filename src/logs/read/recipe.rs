//! How the lines of one input are read. In: what detection found, what policy and flags say, the
//! ports that matter. Out: one shared, unchanging recipe that every worker follows.

use std::collections::HashMap;
use std::sync::Arc;

use crate::logs::clock::Zone;
use crate::logs::detect::{FormatId, FormatSet, Header};
use crate::logs::line::{Columns, LONGEST_LINE};
use crate::logs::mail::MailFormat;
use crate::logs::read::needles::{Needle, Search};
use crate::logs::read::{ReadOptions, Selection};
use crate::logs::wrapping::Wrapping;
use crate::model::policy;
use crate::model::time::Timestamp;

/// A set of ports that answers at once.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    All,
    Ports(Arc<[u64]>),
}

impl Wanted {
    pub(super) fn of(selection: &Selection) -> Self {
        match selection {
            Selection::Everything => Self::All,
            Selection::Ports(ports) => {
                let mut bits = vec![0u64; 1024];
                for port in ports {
                    if let Some(word) = bits.get_mut(usize::from(port >> 6)) {
                        *word |= 1 << (port & 63);
                    }
                }
                Self::Ports(bits.into())
            }
        }
    }

    pub(super) fn has(&self, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Ports(bits) => {
                bits.get(usize::from(port >> 6)).is_some_and(|word| word >> (port & 63) & 1 == 1)
            }
        }
    }
}

/// Who decides which format a line is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Routing {
    /// The user: every line is of the recipe's format.
    Forced,
    /// Each line, among the recipe's formats and then, where not every line was surveyed, all.
    ByLine,
}

/// How the lines of one input are read.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) formats: FormatSet,
    pub(super) routing: Routing,
    pub(super) wrapping: Option<Wrapping>,
    pub(super) search: Arc<Search>,
    pub(super) header: Option<Header>,
    pub(super) header_start: Vec<u8>,
    pub(super) zone: Zone,
    pub(super) reference: Timestamp,
    /// Times after this are a wrong clock's, unless the input begins with one.
    pub(super) latest: Timestamp,
    /// The server of lines that name none.
    pub(super) server: Box<[u8]>,
    pub(super) wanted: Wanted,
    pub(super) kept_rejects: usize,
    /// Whether any of its lines may be a mail server's.
    pub(super) may_hold_mail: bool,
    /// Longest line that is read, in bytes.
    pub(super) longest_line: usize,
}

/// The longest line of any of these formats.
pub(super) fn longest_line_of(formats: FormatSet) -> usize {
    formats.firewall().map(|(_, format)| format.longest_line()).max().unwrap_or(LONGEST_LINE)
}

impl Recipe {
    /// The format of an input that has no other, where each line decides for itself.
    pub(super) fn only_format(&self) -> Option<(u8, &'static dyn MailFormat)> {
        let mut mails = self.formats.mail();
        let only = mails.next()?;
        let alone = mails.next().is_none() && self.formats.firewall().next().is_none();
        (alone && self.routing == Routing::ByLine && self.wrapping.is_none()).then_some(only)
    }

    /// The first of the mail formats, where each line decides for itself: a line whose tag is that of
    /// one of its programs is its own.
    pub(super) fn first_mail(&self) -> Option<(u8, &'static dyn MailFormat)> {
        self.formats.mail().next().filter(|_| self.routing == Routing::ByLine)
    }

    /// The same, where the lines stand bare behind their heads.
    pub(super) fn first_bare_mail(&self) -> Option<(u8, &'static dyn MailFormat)> {
        self.first_mail().filter(|_| self.wrapping.is_none() && self.header.is_none())
    }

    /// The columns for a format: those of the header in force, if it is that format's header.
    pub(super) fn columns_for<'a>(&self, id: FormatId, in_force: &'a Columns) -> &'a Columns {
        static NONE: Columns = Columns::NONE;
        match &self.header {
            Some((header, _)) if *header == id => in_force,
            _ => &NONE,
        }
    }
}

/// The policy's zone as the clock takes it.
pub(super) fn zone_of(zone: Option<policy::Zone>) -> Zone {
    match zone {
        None => Zone::Guessed,
        Some(policy::Zone::Named(zone)) => Zone::Named(zone),
        Some(policy::Zone::Fixed(offset)) => Zone::Fixed(offset.local_minus_utc()),
    }
}

/// What a file's lines are searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// The patterns of the formats that were seen in it.
    Seen,
    /// Also those of all others that are routed line by line: a stray line of another product.
    All,
}

/// Whether the lines stand inside JSON or CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Wrapped {
    No,
    Yes,
}

/// The searches of a run: inputs that hold the same formats share one.
#[derive(Debug, Default)]
pub(super) struct Searches(HashMap<(FormatSet, Scope, Wrapped), Arc<Search>>);

impl Searches {
    pub(super) fn get(
        &mut self,
        seen: FormatSet,
        scope: Scope,
        wrapped: Wrapped,
        options: &ReadOptions<'_>,
    ) -> Arc<Search> {
        let build = || Arc::new(build_search(seen, scope, wrapped, &options.selection));
        Arc::clone(self.0.entry((seen, scope, wrapped)).or_insert_with(build))
    }
}

fn build_search(seen: FormatSet, scope: Scope, wrapped: Wrapped, selection: &Selection) -> Search {
    let Selection::Ports(ports) = selection else { return Search::every_line() };
    let searched = if scope == Scope::All { FormatSet::all() } else { seen };
    let mut needles = Vec::new();
    for (index, format) in searched.mail() {
        let is_seen = seen.contains(FormatId::Mail(index));
        // In JSON the tag may stand in a field of its own, without what follows it in a mark.
        if is_seen && (format.marks().is_empty() || wrapped == Wrapped::Yes) {
            return Search::every_line();
        }
        needles.extend(format.marks().iter().map(|mark| Needle::plain(mark)));
    }
    for (index, format) in searched.firewall() {
        let is_seen = seen.contains(FormatId::Firewall(index));
        let of_ports = ports.iter().flat_map(|port| format.needles(*port));
        let searched = of_ports.filter(|needle| is_seen || is_telling(needle));
        needles.extend(searched.map(Needle::of_port));
    }
    let ports: Vec<u16> = ports.iter().copied().collect();
    match (wrapped, scope) {
        (Wrapped::No, Scope::Seen) => Search::any_of_ports(&ports, needles),
        (Wrapped::No, Scope::All) => Search::by_ports(&ports, needles),
        (Wrapped::Yes, _) => Search::digits_of(&ports, needles),
    }
}

/// Whether a pattern is worth searching for in a file where its format was not seen: a number
/// between blanks or tabs stands in the date of every line of a day. Formats with such patterns
/// have header lines, or files of their own.
fn is_telling(needle: &[u8]) -> bool {
    needle.iter().any(|byte| !byte.is_ascii_digit() && !byte.is_ascii_whitespace())
}
