//! Walks over the markup of one chunk. In: bytes that begin where a piece of markup begins, and
//! what is known of the elements around them. Out: the parts that count (hosts, properties,
//! catalogue items, the policy's plugin list), what is open behind the chunk, or a fault.
//!
//! Every byte is checked here, nesting included; only the parts that count are handed on to be
//! read (`item`, `host`).

use std::ops::Range;

use crate::model::net::{parse_decimal, parse_port};
use crate::scan::bang::{self, Bang, Instruction};
use crate::scan::catalogue::Catalogue;
use crate::scan::host::{self, Properties};
use crate::scan::item::{self, Item};
use crate::scan::markup::{
    self, Attribute, Fault, KnownNames, StartTag, Stop, TagEnd, fault, shown,
};
use crate::scan::surroundings::{Spot, Surroundings};

/// Deepest nesting of elements.
pub(super) const MAX_DEPTH: usize = 64;

/// A part that counts, in the order of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The report's name.
    ReportName(String),
    /// A `ReportHost` begins.
    Host(String),
    /// The host's properties.
    Properties(Box<Properties>),
    /// A catalogue item.
    Item(Box<Item>),
    /// An item that cannot be read: its offset in the chunk, and why.
    Rejected(usize, &'static str),
    /// A `ReportHost` ends.
    HostEnd,
    /// The policy's list of plugins, of those that are looked for.
    PluginSet(Vec<u32>),
    /// The TCP ports of the scan's policy.
    Ports(Vec<(u16, u16)>),
}

/// What comes behind the bytes of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// A `<`, so that text at the end is whole.
    Markup,
    /// Anything.
    Anywhere,
    /// Nothing: the end of the export.
    Eof,
}

/// The result of walking over one chunk.
#[derive(Debug)]
pub(super) struct Walked {
    /// How many bytes were used up; the rest begins a piece of markup, or a part that counts,
    /// that the chunk does not hold whole. Or why reading stopped.
    pub(super) used: Result<usize, Stop>,
    /// What is open behind the bytes used.
    pub(super) around: Surroundings,
    /// The parts that count.
    pub(super) parts: Vec<Part>,
    /// `ReportItem`s of every plugin.
    pub(super) items: u64,
    /// The deepest nesting reached.
    pub(super) deepest: usize,
}

/// Walks over a chunk.
pub(super) fn walk(
    bytes: &[u8],
    ending: Ending,
    around: Surroundings,
    catalogue: &Catalogue,
) -> Walked {
    let mut walker = Walker {
        bytes,
        ending,
        catalogue,
        deepest: around.depth(),
        around,
        attributes: Vec::new(),
        known: KnownNames::new(),
        capture: None,
        parts: Vec::new(),
        items: 0,
    };
    let used = walker.run();
    Walked {
        used,
        around: walker.around,
        parts: walker.parts,
        items: walker.items,
        deepest: walker.deepest,
    }
}

/// An element that is read as a whole once its end is found.
#[derive(Debug, Clone, Copy)]
struct Capture {
    /// Offset of its `<`.
    at: usize,
    /// Number of elements open around it.
    depth: usize,
    /// Items counted before it.
    items: u64,
}

struct Walker<'a> {
    bytes: &'a [u8],
    ending: Ending,
    catalogue: &'a Catalogue,
    around: Surroundings,
    attributes: Vec<Attribute>,
    known: KnownNames,
    capture: Option<Capture>,
    parts: Vec<Part>,
    items: u64,
    deepest: usize,
}

impl<'a> Walker<'a> {
    /// Piece by piece to the end of the bytes. A piece, or a part, that the bytes do not hold
    /// whole is left for the next chunk.
    fn run(&mut self) -> Result<usize, Stop> {
        let mut at = 0;
        while at < self.bytes.len() {
            match self.piece(at) {
                Ok(after) => at = after,
                Err(Stop::Incomplete) => break,
                Err(stop) => return Err(stop),
            }
        }
        if self.ending == Ending::Eof {
            return self.check_end(at);
        }
        let Some(capture) = self.capture else { return Ok(at) };
        self.around.truncate(capture.depth);
        self.items = capture.items;
        Ok(capture.at)
    }

    /// The export ends: nothing may be open. quick-xml would not complain of a cut between tags.
    fn check_end(&self, at: usize) -> Result<usize, Stop> {
        let cut = |at, message| Err(Stop::Cut(Box::new(Fault { at, message })));
        if at < self.bytes.len() {
            let inside = shown(self.bytes, at);
            return cut(at, format!("end of file inside {inside}; expected the rest of it"));
        }
        if self.around.depth() > 0 {
            let open = String::from_utf8_lossy(self.around.innermost()).into_owned();
            return cut(at, format!("end of file inside <{open}>; expected </{open}>"));
        }
        if !self.around.root_seen {
            return cut(at, "end of file; expected <NessusClientData_v2".into());
        }
        Ok(at)
    }

    /// Text up to the next `<`, or one piece of markup.
    #[inline]
    fn piece(&mut self, at: usize) -> Result<usize, Stop> {
        if self.bytes.get(at) != Some(&b'<') {
            return self.text(at);
        }
        match self.bytes.get(at.saturating_add(1)) {
            None => Err(Stop::Incomplete),
            Some(b'/') => self.end_tag(at),
            Some(b'!') => self.bang(at),
            Some(b'?') => self.instruction(at),
            Some(_) => self.start_tag(at),
        }
    }

    #[inline]
    fn text(&mut self, at: usize) -> Result<usize, Stop> {
        let end = markup::text(self.bytes, at)?;
        if end == self.bytes.len() && self.ending == Ending::Anywhere {
            return Err(Stop::Incomplete);
        }
        if self.around.depth() == 0 {
            self.check_outside(at, end)?;
        }
        Ok(end)
    }

    /// Outside the root only white space may stand.
    fn check_outside(&self, at: usize, end: usize) -> Result<(), Stop> {
        let text = self.bytes.get(at..end).unwrap_or_default();
        let Some(ahead) = text.iter().position(|&b| !markup::is_space(b)) else { return Ok(()) };
        let found = at.saturating_add(ahead);
        let expected = if self.around.root_seen {
            "nothing behind the root element"
        } else {
            "<NessusClientData_v2"
        };
        fault(found, format!("found {}; expected {expected}", shown(self.bytes, found)))
    }

    #[inline]
    fn start_tag(&mut self, at: usize) -> Result<usize, Stop> {
        let tag = match self.known.tag(self.bytes, at) {
            Some(tag) => {
                self.attributes.clear();
                tag
            }
            None => self.new_tag(at)?,
        };
        let name = self.slice(tag.name.clone());
        let parent = self.around.spot();
        let spot = match parent {
            Spot::Item | Spot::Other => Spot::Other,
            _ => parent.child(name).ok_or(Stop::Unsure)?,
        };
        if self.around.depth() == 0 {
            self.check_root(at, spot)?;
        }
        if self.around.depth() >= MAX_DEPTH {
            return fault(at, format!("limit: elements nested deeper than {MAX_DEPTH}"));
        }
        let depth = self.around.depth();
        self.deepest = self.deepest.max(depth.saturating_add(1));
        if tag.end == TagEnd::Open {
            if let Some(after) = self.leaf(&tag, name, spot) {
                return Ok(after);
            }
            self.around.push(name, spot);
        }
        if spot != Spot::Other {
            self.begin(at, &tag, spot, depth);
        }
        Ok(tag.after)
    }

    /// A start tag of a name that is not known, or with attributes.
    fn new_tag(&mut self, at: usize) -> Result<StartTag, Stop> {
        let tag = markup::start_tag(self.bytes, at, &mut self.attributes)?;
        self.known.add(self.bytes, &tag);
        Ok(tag)
    }

    /// The offset behind `<name>text</name>`, if that is what the tag begins: most of an export
    /// is that, and it need not go over the stack of open elements.
    #[inline]
    fn leaf(&self, tag: &StartTag, name: &[u8], spot: Spot) -> Option<usize> {
        if spot != Spot::Other {
            return None;
        }
        let end = markup::text(self.bytes, tag.after).ok()?;
        let rest = self.bytes.get(end..)?.strip_prefix(b"</")?.strip_prefix(name)?;
        let close = end.saturating_add(name.len()).saturating_add(3);
        (rest.first() == Some(&b'>')).then_some(close)
    }

    /// The root must be a v2 export's. A `ReportHost` alone is a piece of one that people keep.
    fn check_root(&mut self, at: usize, spot: Spot) -> Result<(), Stop> {
        if self.around.root_seen {
            let found = shown(self.bytes, at);
            return fault(at, format!("found {found}; expected nothing behind the root element"));
        }
        if spot == Spot::Other {
            return fault(at, crate::scan::refusal::wrong_root(self.bytes, at));
        }
        self.around.root_seen = true;
        Ok(())
    }

    /// An element that counts begins.
    fn begin(&mut self, at: usize, tag: &StartTag, spot: Spot, depth: usize) {
        let whole = match spot {
            Spot::Report => {
                let name = host::name_attribute(self.slice(at..tag.after));
                self.parts.push(Part::ReportName(name));
                false
            }
            Spot::Host => {
                let name = host::name_attribute(self.slice(at..tag.after));
                self.parts.push(Part::Host(name));
                false
            }
            Spot::Item => self.begin_item(at),
            Spot::Properties | Spot::Preference => true,
            _ => false,
        };
        if whole {
            self.capture = Some(Capture {
                at,
                depth,
                items: self.items.saturating_sub(u64::from(spot == Spot::Item)),
            });
        }
        if tag.end == TagEnd::Empty {
            self.end(spot, depth, tag.after);
        }
    }

    /// Whether the item is one to read.
    fn begin_item(&mut self, at: usize) -> bool {
        self.items = self.items.saturating_add(1);
        let value = |name: &[u8]| {
            let attribute = self.attributes.iter().find(|a| self.slice(a.name.clone()) == name)?;
            Some(self.slice(attribute.value.clone()).trim_ascii())
        };
        let plugin = value(b"pluginID");
        let reason = match (plugin, value(b"port"), value(b"severity")) {
            (None, ..) => "ReportItem lacks pluginID",
            (_, None, _) => "ReportItem lacks port",
            (.., None) => "ReportItem lacks severity",
            (Some(id), ..) if parse_decimal(id).is_none() => "pluginID is no number",
            (_, Some(port), _) if parse_port(port).is_none() => "port is no number up to 65535",
            (.., Some([b'0'..=b'4'])) => {
                let id = plugin.and_then(parse_decimal).and_then(|n| u32::try_from(n).ok());
                return id.is_some_and(|id| self.catalogue.get(id).is_some());
            }
            _ => "severity is no number from 0 to 4",
        };
        self.parts.push(Part::Rejected(at, reason));
        false
    }

    #[inline]
    fn end_tag(&mut self, at: usize) -> Result<usize, Stop> {
        let from = at.saturating_add(2);
        let expected = self.around.innermost();
        let rest = self.bytes.get(from..).unwrap_or_default();
        let plain = !expected.is_empty()
            && rest.starts_with(expected)
            && rest.get(expected.len()) == Some(&b'>');
        let after = if plain {
            from.saturating_add(expected.len()).saturating_add(1)
        } else {
            self.odd_end_tag(at)?
        };
        let depth = self.around.depth().saturating_sub(1);
        match self.around.pop() {
            Some(Spot::Other) | None => {}
            Some(spot) => self.end(spot, depth, after),
        }
        Ok(after)
    }

    /// An end tag with white space in it, or one that closes nothing that is open.
    fn odd_end_tag(&self, at: usize) -> Result<usize, Stop> {
        let (name, after) = markup::end_tag(self.bytes, at)?;
        if self.around.spot() == Spot::HostParent {
            return Err(Stop::Unsure);
        }
        let expected = self.around.innermost();
        if self.slice(name) == expected && self.around.depth() > 0 {
            return Ok(after);
        }
        let found = String::from_utf8_lossy(self.slice(at..after.min(at.saturating_add(80))));
        if self.around.depth() == 0 {
            return fault(at, format!("found {found}; expected no end tag: nothing is open"));
        }
        let expected = String::from_utf8_lossy(expected);
        fault(at, format!("found {found}; expected </{expected}>"))
    }

    /// An element that counts ends; `depth` elements are open around it.
    fn end(&mut self, spot: Spot, depth: usize, after: usize) {
        if spot == Spot::Host {
            self.parts.push(Part::HostEnd);
        }
        let Some(capture) = self.capture.filter(|c| c.depth == depth) else { return };
        self.capture = None;
        let markup = self.slice(capture.at..after);
        let part = match spot {
            Spot::Item => match item::parse_item(markup, self.catalogue) {
                Ok(item) => item.map(|item| Part::Item(Box::new(item))),
                Err(reason) => Some(Part::Rejected(capture.at, reason)),
            },
            Spot::Properties => Some(Part::Properties(Box::new(host::parse_properties(markup)))),
            _ => host::parse_plugin_set(markup, self.catalogue)
                .map(Part::PluginSet)
                .or_else(|| host::parse_ports(markup).map(Part::Ports)),
        };
        self.parts.extend(part);
    }

    fn bang(&mut self, at: usize) -> Result<usize, Stop> {
        let (kind, after) = bang::bang(self.bytes, at)?;
        let outside = self.around.depth() == 0;
        match kind {
            Bang::Comment => Ok(after),
            Bang::Cdata if !outside => Ok(after),
            Bang::Doctype if outside && !self.around.root_seen => Ok(after),
            _ => {
                let found = shown(self.bytes, at);
                fault(at, format!("found {found} where it may not stand; expected a tag"))
            }
        }
    }

    /// The XML declaration may follow comments (some people put a licence in front), but stands
    /// in front of the root, once.
    fn instruction(&mut self, at: usize) -> Result<usize, Stop> {
        let (kind, after) = bang::instruction(self.bytes, at)?;
        if kind == Instruction::Declaration {
            if self.around.root_seen || self.around.declared {
                return fault(at, "found a second XML declaration; expected one, before the root");
            }
            self.around.declared = true;
        }
        Ok(after)
    }

    fn slice(&self, range: Range<usize>) -> &'a [u8] {
        self.bytes.get(range).unwrap_or_default()
    }
}
