//! Points in time. In: numbers. Out: UTC microseconds since 1970 and their RFC 3339 text.
//!
//! What a log line says of its time, and how a missing year or zone is filled in, is
//! `logs::clock`'s.

use std::fmt;

use chrono::{DateTime, Datelike, Timelike};

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;

/// Seconds in a day.
const DAY: i64 = 86_400;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, leap seconds folded into the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole seconds since 1970, clamped to what fits.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND))
    }

    /// Whole seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// UTC days since 1970, rounded down.
    pub fn day(self) -> i32 {
        self.seconds().div_euclid(DAY) as i32
    }

    /// This time moved by whole seconds, clamped to what fits.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(SECOND)))
    }

    /// Reads RFC 3339 (`2026-11-02T10:00:00Z`, with an offset, with a fraction).
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self(time.timestamp_micros()))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, whole seconds: `2026-11-02T10:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::from_timestamp(self.seconds(), 0);
        let Some(t) = time.filter(|t| (0..10_000).contains(&t.year())) else {
            return write!(f, "@{}", self.seconds());
        };
        // Digit by digit: outputs hold millions of times.
        let mut text = *b"0000-00-00T00:00:00Z";
        let fields = [
            (0, 2, t.year().unsigned_abs() / 100),
            (2, 4, t.year().unsigned_abs() % 100),
            (5, 7, t.month()),
            (8, 10, t.day()),
            (11, 13, t.hour()),
            (14, 16, t.minute()),
            (17, 19, t.second()),
        ];
        for (from, to, number) in fields {
            if let Some([tens, ones]) = text.get_mut(from..to) {
                *tens = b'0' + (number / 10 % 10) as u8;
                *ones = b'0' + (number % 10) as u8;
            }
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Optional times as whole microseconds, for what has to come back as it was: `#[serde(with)]`.
pub mod micros {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Timestamp;

    /// Writes the microseconds, or nothing.
    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.0).serialize(to)
    }

    /// Reads them back.
    ///
    /// # Errors
    /// Anything but a whole number or nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(Timestamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_rfc3339() {
        for text in ["1970-01-01T00:00:00Z", "2026-11-02T10:00:00Z", "1969-12-31T23:59:59Z"] {
            assert_eq!(Timestamp::parse_rfc3339(text).unwrap().to_string(), text);
        }
        let offset = Timestamp::parse_rfc3339("2026-11-02T10:00:00.9+01:00").unwrap();
        assert_eq!(offset.to_string(), "2026-11-02T09:00:00Z");
        assert_eq!(Timestamp(-1).day(), -1);
    }
}
