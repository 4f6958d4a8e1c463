//! Rows by the names of their columns. In: a line, and the columns of the `#Fields:` line before it.
//! Out: its cells by field, and which of the two logs it is of.

use std::sync::LazyLock;

use crate::logs::clock::LogTime;
use crate::logs::fields;
use crate::logs::line::Columns;

/// The columns that are read, of both logs.
const FIELDS: &[&str] = &[
    "date-time",
    "connector-id",
    "session-id",
    "local-endpoint",
    "remote-endpoint",
    "event",
    "data",
    "context",
    "client-ip",
    "client-hostname",
    "server-ip",
    "server-hostname",
    "source",
    "event-id",
    "internal-message-id",
    "recipient-address",
    "original-client-ip",
];

/// A column, as its place in [`FIELDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Time,
    Connector,
    Session,
    Local,
    Remote,
    Event,
    Data,
    Context,
    ClientIp,
    ClientHost,
    ServerIp,
    ServerHost,
    Source,
    EventId,
    Message,
    Recipients,
    OriginalClient,
}

/// The header of protocol logs of all versions.
pub(super) const PROTOCOL_HEADER: &[u8] = b"date-time,connector-id,session-id,sequence-number,\
    local-endpoint,remote-endpoint,event,data,context";

/// The header of tracking logs since Exchange 2013.
pub(super) const TRACKING_HEADER: &[u8] =
    b"date-time,client-ip,client-hostname,server-ip,server-hostname,\
    source-context,connector-id,source,event-id,internal-message-id,message-id,\
    network-message-id,recipient-address,recipient-status,total-bytes,recipient-count,\
    related-recipient-address,reference,message-subject,sender-address,return-path,message-info,\
    directionality,tenant-id,original-client-ip";

/// Columns that a row is cut into; more are of no use here.
const MOST_COLUMNS: usize = 32;

pub(super) fn read_header(names: &[u8]) -> Columns {
    Columns::find(FIELDS, names.split(|&b| b == b','), b',')
}

pub(super) static NO_HEADER: Columns = Columns::NONE;

/// The columns of protocol logs without a header.
static PROTOCOL: LazyLock<Columns> = LazyLock::new(|| read_header(PROTOCOL_HEADER));

/// The columns of tracking logs without a header.
static TRACKING: LazyLock<Columns> = LazyLock::new(|| read_header(TRACKING_HEADER));

/// Whether the columns of receive logs stand where current versions have
/// them, or no header said otherwise.
pub(super) fn in_current_order(columns: &Columns) -> bool {
    columns.is_empty() || columns.agrees(&PROTOCOL, Field::ClientIp as usize)
}

/// A line cut at its commas.
pub(super) struct Cells<'a> {
    cells: [&'a [u8]; MOST_COLUMNS],
    count: usize,
}

/// A row and where its columns stand.
pub(super) struct Row<'a, 'c> {
    cells: &'c Cells<'a>,
    columns: &'c Columns,
}

/// Which log a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Protocol,
    Tracking,
    None,
}

impl<'a> Cells<'a> {
    /// Cuts a line; one that does not begin as a time does has no cells.
    pub(super) fn cut(raw: &'a [u8]) -> Self {
        let raw = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let mut cells: [&[u8]; MOST_COLUMNS] = [&[]; MOST_COLUMNS];
        let mut count = 0usize;
        let starts_with_time = raw.first().is_some_and(u8::is_ascii_digit);
        if starts_with_time {
            for (cell, column) in cells.iter_mut().zip(fields::columns(raw, b',')) {
                *cell = column;
                count = count.saturating_add(1);
            }
        }
        Self { cells, count }
    }

    /// The row; without a header the current order of whichever log fits.
    pub(super) fn row<'c>(&'c self, columns: &'c Columns) -> Row<'a, 'c> {
        if !columns.is_empty() {
            return Row { cells: self, columns };
        }
        let protocol = Row { cells: self, columns: &PROTOCOL };
        if protocol.kind() == Kind::Protocol {
            return protocol;
        }
        Row { cells: self, columns: &TRACKING }
    }
}

impl<'a> Row<'a, '_> {
    /// Whether its columns stand where a header has them.
    pub(super) fn is_by(&self, columns: &Columns) -> bool {
        self.columns == columns
    }

    pub(super) fn get(&self, field: Field) -> &'a [u8] {
        let at = self.columns.position(field as usize);
        at.and_then(|at| self.cells.cells.get(at)).copied().unwrap_or_default()
    }

    pub(super) fn kind(&self) -> Kind {
        let word = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_uppercase);
        if !self.get(Field::Time).ends_with(b"Z") {
            Kind::None
        } else if is_session(self.get(Field::Session)) && is_event(self.get(Field::Event)) {
            Kind::Protocol
        } else if word(self.get(Field::Source)) && word(self.get(Field::EventId)) && self.is_whole()
        {
            Kind::Tracking
        } else {
            Kind::None
        }
    }

    /// Whether the row reaches the last column that is read; a subject with a line end cuts it.
    fn is_whole(&self) -> bool {
        let last = self.columns.position(Field::OriginalClient as usize);
        last.or(self.columns.position(Field::Recipients as usize))
            .is_some_and(|at| at < self.cells.count)
    }

    pub(super) fn time(&self) -> Option<LogTime> {
        let text = self.get(Field::Time);
        LogTime::parse_iso(text).filter(|(_, used)| *used == text.len()).map(|(time, _)| time)
    }
}

/// Whether this can be a session's id: 16 hexadecimal digits in all versions so far; nothing
/// promises it.
pub(super) fn is_session(text: &[u8]) -> bool {
    // All bytes are looked at: that is quicker than to stop at the first that does not fit.
    let fits = text.iter().fold(true, |fits, byte| fits & byte.is_ascii_alphanumeric());
    (4..=64).contains(&text.len()) && fits
}

pub(super) fn is_event(text: &[u8]) -> bool {
    matches!(text, b"+" | b"-" | b"<" | b">" | b"*")
}
