//! Points in time. In: numbers. Out: UTC microseconds since 1970 and their RFC 3339 text.
//!
//! What a log line says of its time, and how a missing year or zone is filled in, is
//! `logs::clock`'s.

use std::fmt;

use chrono::DateTime;

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

impl Timestamp {
    /// Its RFC 3339 text, whole seconds; none outside of the years 0 to 9999.
    pub fn rfc3339(self) -> Option<[u8; 20]> {
        let (year, month, day) = calendar_day(self.seconds().div_euclid(DAY));
        let second = self.seconds().rem_euclid(DAY);
        let year = u16::try_from(year).ok().filter(|year| *year < 10_000)?;
        let number = |number: i64| (number % 100) as u8;
        // Digit by digit: outputs hold millions of times.
        let mut text = *b"0000-00-00T00:00:00Z";
        let fields = [
            (0, (year / 100) as u8),
            (2, (year % 100) as u8),
            (5, month),
            (8, day),
            (11, number(second / 3600)),
            (14, number(second / 60 % 60)),
            (17, number(second % 60)),
        ];
        for (at, number) in fields {
            if let Some([tens, ones]) = text.get_mut(at..at + 2) {
                *tens = b'0' + number / 10;
                *ones = b'0' + number % 10;
            }
        }
        Some(text)
    }
}

/// Year, month and day of a day since 1970, in the calendar without an end. Years are taken to begin
/// in March, so that the day that comes every fourth is a year's last: the months before it have 31
/// and 30 days in a pattern of 153 days in five months.
fn calendar_day(day: i64) -> (i64, u8, u8) {
    const FOUR_CENTURIES: i64 = 146_097;
    /// Days from 1 March 0 to 1970.
    const TO_1970: i64 = 719_468;
    let day = day.saturating_add(TO_1970);
    let (era, day) = (day.div_euclid(FOUR_CENTURIES), day.rem_euclid(FOUR_CENTURIES));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month as u8, day_of_month as u8)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, whole seconds: `2026-11-02T10:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rfc3339() {
            Some(text) => f.write_str(std::str::from_utf8(&text).unwrap_or_default()),
            None => write!(f, "@{}", self.seconds()),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.rfc3339() {
            Some(text) => serializer.serialize_str(std::str::from_utf8(text).unwrap_or_default()),
            None => serializer.collect_str(self),
        }
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
        for day in (-719_528..2_932_897).step_by(13) {
            let time = Timestamp::from_seconds(day * DAY + 86_399);
            let expected = DateTime::from_timestamp(time.seconds(), 0).unwrap();
            assert_eq!(time.to_string(), expected.format("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        for (seconds, text) in [
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (-62_167_219_201, "@-62167219201"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "@253402300800"),
            (i64::MAX / SECOND, "@9223372036854"),
            (i64::MIN / SECOND, "@-9223372036854"),
        ] {
            assert_eq!(Timestamp::from_seconds(seconds).to_string(), text);
        }
        let offset = Timestamp::parse_rfc3339("2026-11-02T10:00:00.9+01:00").unwrap();
        assert_eq!(offset.to_string(), "2026-11-02T09:00:00Z");
        assert_eq!(Timestamp(-1).day(), -1);
    }
}
