//! What a place in an export stands in. In: the elements that begin and end. Out: what an element
//! is, by its name and its parents, and which are open.
//!
//! What an element is follows from where it stands: a `ReportItem` inside a `plugin_output` is
//! somebody's text, not an item. A chunk may be read on a guess of its surroundings; `advance`
//! puts what is known in the guess's place.

/// What an element is, by its name and its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// Outside the root element.
    Document,
    /// `NessusClientData_v2`.
    Root,
    /// `Policy`.
    Policy,
    /// `Preferences` of a policy.
    Preferences,
    /// `ServerPreferences` of a policy.
    ServerPreferences,
    /// `preference` of the scanner, read as a whole.
    Preference,
    /// `Report`.
    Report,
    /// An element that holds hosts, in a chunk read on a guess: `Report` or the root.
    HostParent,
    /// `ReportHost`.
    Host,
    /// `HostProperties`, read as a whole.
    Properties,
    /// `ReportItem`; read as a whole if its plugin is in the catalogue.
    Item,
    /// Anything else.
    Other,
}

impl Spot {
    /// What a child of this name is; none where a guess cannot tell.
    pub(super) fn child(self, name: &[u8]) -> Option<Self> {
        Some(match (self, name) {
            (Self::Document, b"NessusClientData_v2") => Self::Root,
            (Self::Document | Self::Root | Self::Report | Self::HostParent, b"ReportHost") => {
                Self::Host
            }
            (Self::HostParent, _) => return None,
            (Self::Root, b"Policy") => Self::Policy,
            (Self::Root, b"Report") => Self::Report,
            (Self::Policy, b"Preferences") => Self::Preferences,
            (Self::Preferences, b"ServerPreferences") => Self::ServerPreferences,
            (Self::ServerPreferences, b"preference") => Self::Preference,
            (Self::Host, b"HostProperties") => Self::Properties,
            (Self::Host, b"ReportItem") => Self::Item,
            _ => Self::Other,
        })
    }
}

/// The elements that are open, outermost first, and how far the document is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// The names of the open elements, one behind the other.
    names: Vec<u8>,
    /// Where each name begins in `names`, and what the element is.
    open: Vec<(usize, Spot)>,
    /// Whether the root element has begun.
    pub(super) root_seen: bool,
    /// Whether the XML declaration was seen.
    pub(super) declared: bool,
}

impl Surroundings {
    /// What a chunk is guessed to stand in if it begins with `<ReportItem` (a host) or
    /// `<ReportHost` (whatever holds hosts).
    pub(super) fn guessed(first: Spot) -> Self {
        let mut guess = Self { root_seen: true, declared: true, ..Self::default() };
        guess.push(b"", Spot::HostParent);
        if first == Spot::Host {
            guess.push(b"ReportHost", Spot::Host);
        }
        guess
    }

    /// What the innermost open element is.
    pub(super) fn spot(&self) -> Spot {
        self.open.last().map_or(Spot::Document, |&(_, spot)| spot)
    }

    /// Number of open elements.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// The innermost open element's name.
    pub(super) fn innermost(&self) -> &[u8] {
        let start = self.open.last().map_or(0, |&(start, _)| start);
        self.names.get(start..).unwrap_or_default()
    }

    /// Replaces the guess that a chunk was read on by what is known: the result of reading it
    /// in these surroundings. `guess` is what was guessed, `after` what was open in the end.
    pub(super) fn advance(&mut self, guess: &Self, after: &Self) {
        let shared = guess.depth().min(after.depth());
        let closed = guess.depth().saturating_sub(shared);
        for _ in 0..closed {
            self.pop();
        }
        for index in shared..after.depth() {
            let Some(&(start, spot)) = after.open.get(index) else { break };
            let end =
                after.open.get(index.saturating_add(1)).map_or(after.names.len(), |&(s, _)| s);
            self.push(after.names.get(start..end).unwrap_or_default(), spot);
        }
    }

    /// An element begins.
    pub(super) fn push(&mut self, name: &[u8], spot: Spot) {
        self.open.push((self.names.len(), spot));
        self.names.extend_from_slice(name);
    }

    /// The innermost element ends; what it was.
    pub(super) fn pop(&mut self) -> Option<Spot> {
        let (start, spot) = self.open.pop()?;
        self.names.truncate(start);
        Some(spot)
    }

    /// Closes what is open beyond a depth.
    pub(super) fn truncate(&mut self, depth: usize) {
        while self.open.len() > depth {
            self.pop();
        }
    }
}
