//! Times as log files print them, and log files as lists of timed lines. In: UTC seconds. Out: text.

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;

/// UTC seconds since 1970.
pub(crate) type Seconds = i64;

pub(crate) const HOUR: Seconds = 3600;
pub(crate) const DAY: Seconds = 86_400;

/// How a log prints time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `Nov  2 10:00:00`: neither year nor zone.
    Rfc3164(Tz),
    /// `2026-11-02T11:00:00.123456+01:00`
    Iso(Tz),
    /// `2026-11-02T10:00:00Z`
    IsoZulu,
    /// `Nov 02 2026 10:00:00`: a year, no zone.
    CiscoYear(Tz),
}

impl Style {
    pub(crate) fn text(self, time: Seconds) -> String {
        let utc = DateTime::from_timestamp(time, 0).unwrap().naive_utc();
        match self {
            Self::Rfc3164(zone) => {
                zone.from_utc_datetime(&utc).format("%b %e %H:%M:%S").to_string()
            }
            Self::Iso(zone) => {
                let micros = time.rem_euclid(997) * 1003;
                let local = zone.from_utc_datetime(&utc);
                format!("{}.{micros:06}{}", local.format("%Y-%m-%dT%H:%M:%S"), local.format("%:z"))
            }
            Self::IsoZulu => utc.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Self::CiscoYear(zone) => {
                zone.from_utc_datetime(&utc).format("%b %d %Y %H:%M:%S").to_string()
            }
        }
    }

    /// The zone that the policy must name, since the lines do not.
    pub(crate) fn unsaid_zone(self) -> Option<Tz> {
        match self {
            Self::Rfc3164(zone) | Self::CiscoYear(zone) => Some(zone),
            Self::Iso(_) | Self::IsoZulu => None,
        }
    }
}

/// A log in the making: lines may be added in any order, equal times keep theirs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    lines: Vec<(Seconds, String)>,
}

impl Log {
    pub(crate) fn push(&mut self, time: Seconds, line: String) {
        self.lines.push((time, line));
    }

    /// The lines in the order of their times.
    pub(crate) fn sorted(&self) -> Vec<(Seconds, &str)> {
        let mut lines: Vec<_> = self.lines.iter().map(|(t, l)| (*t, l.as_str())).collect();
        lines.sort_by_key(|(time, _)| *time);
        lines
    }
}

/// Lines as the bytes of a file.
pub(crate) fn file_text<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text.into_bytes()
}
