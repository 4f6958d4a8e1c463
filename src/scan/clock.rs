//! Times of a host's scan. In: `HOST_START`, `HOST_END` and their `_TIMESTAMP`s as an export has
//! them, what plugin 19506 says of the zone, and the zone that the user names. Out: UTC, and whether the zone was guessed.
//!
//! The texts are local time of the scanner without a zone (`Wed Mar 23 14:31:51 2022`; web
//! application scans write ISO 8601 with an offset), so the `_TIMESTAMP`s (seconds since 1970)
//! count first. Zone abbreviations are not read: EST is several zones.

use chrono::NaiveDate;

use crate::model::net::parse_decimal;
use crate::model::policy;
use crate::model::time::Timestamp;

/// A time as a host's property has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostTime {
    /// With its zone.
    Utc(Timestamp),
    /// Seconds since 1970 as if the scanner's local time were UTC.
    Local(i64),
}

/// The four properties that tell a host's time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HostTimes {
    pub(super) start: Option<HostTime>,
    pub(super) end: Option<HostTime>,
    pub(super) start_stamp: Option<Timestamp>,
    pub(super) end_stamp: Option<Timestamp>,
}

/// Whether a zone had to be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    Known,
    Guessed,
}

/// Start and end of the host's scan in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) started: Option<Timestamp>,
    /// The start, where the export does not tell the end.
    pub(super) ended: Option<Timestamp>,
    /// Whether the export tells the end.
    pub(super) finished: bool,
    pub(super) zone: Zone,
}

impl HostTimes {
    /// Resolves the times; `told` is what 19506 says of the zone, in seconds east of UTC, `named`
    /// the zone that policy or flags give the export.
    pub(super) fn resolve(&self, told: Option<i64>, named: Option<policy::Zone>) -> Span {
        let of_scan = self.own_offset().or(told);
        let mut zone = Zone::Known;
        let mut utc = |stamp: Option<Timestamp>, text: Option<HostTime>| {
            if stamp.is_some() {
                return stamp;
            }
            match text? {
                HostTime::Utc(time) => Some(time),
                HostTime::Local(seconds) => {
                    let offset = of_scan.or_else(|| Some(named?.offset_of_local(seconds)));
                    if offset.is_none() {
                        zone = Zone::Guessed;
                    }
                    Some(Timestamp::from_seconds(seconds.saturating_sub(offset.unwrap_or(0))))
                }
            }
        };
        let started = utc(self.start_stamp, self.start);
        let ended = utc(self.end_stamp, self.end);
        Span { started, ended: ended.or(started), finished: ended.is_some(), zone }
    }

    /// The zone that `HOST_START` and its time stamp show together, if it is one that exists.
    fn own_offset(&self) -> Option<i64> {
        let (Some(HostTime::Local(local)), Some(stamp)) = (self.start, self.start_stamp) else {
            return None;
        };
        let offset = local.checked_sub(stamp.seconds())?;
        (offset.rem_euclid(900) == 0 && (-12 * 3600..=14 * 3600).contains(&offset))
            .then_some(offset)
    }
}

/// Reads a `_TIMESTAMP`: seconds since 1970, later than 1990.
pub(super) fn parse_stamp(text: &str) -> Option<Timestamp> {
    let seconds = parse_decimal(text.trim().as_bytes())?;
    let plausible = (631_152_000..=32_503_680_000).contains(&seconds);
    plausible.then(|| Timestamp::from_seconds(seconds as i64))
}

/// Reads `Wed Mar 23 14:31:51 2022` (one or two blanks before the day) or ISO 8601 with an offset.
pub(super) fn parse_host_time(text: &str) -> Option<HostTime> {
    if let Some(time) = Timestamp::parse_rfc3339(text.trim()) {
        return Some(HostTime::Utc(time));
    }
    let mut words = text.split_whitespace();
    let _weekday = words.next()?;
    let month = parse_month(words.next()?)?;
    let day = number(words.next()?)?;
    let mut clock = words.next()?.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let year = i32::try_from(number(words.next()?)?).ok()?;
    if words.next().is_some() || clock.next().is_some() {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(year, month, day)?;
    let time = date.and_hms_opt(hour, minute, second.min(59))?;
    (second <= 60).then(|| HostTime::Local(time.and_utc().timestamp()))
}

fn number(digits: &str) -> Option<u32> {
    parse_decimal(digits.as_bytes()).and_then(|n| u32::try_from(n).ok())
}

fn parse_month(word: &str) -> Option<u32> {
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = months.iter().position(|month| *month == word)?;
    u32::try_from(at.saturating_add(1)).ok()
}

/// Reads the zone that Nessus 10.8 and later write after 19506's `Scan Start Date`:
/// `2026/11/2 10:00 EST (UTC -05:00)`, or a plain `UTC` or `GMT`. Seconds east of UTC.
pub(super) fn parse_scan_zone(date: &str) -> Option<i64> {
    let date = date.trim();
    if date.ends_with(" UTC") || date.ends_with(" GMT") {
        return Some(0);
    }
    let (_, zone) = date.split_once("(UTC")?;
    let zone = zone.split_once(')')?.0.trim();
    if zone.is_empty() {
        return Some(0);
    }
    let (sign, clock) = match zone.strip_prefix('-') {
        Some(clock) => (-1, clock),
        None => (1, zone.strip_prefix('+')?),
    };
    let (hours, minutes) = clock.trim().split_once(':').unwrap_or((clock, "0"));
    let (hours, minutes) = (i64::from(number(hours)?), i64::from(number(minutes)?));
    (hours <= 14 && minutes < 60).then(|| sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Option<Timestamp> {
        Timestamp::parse_rfc3339(text)
    }

    #[test]
    fn host_times_are_read_in_the_forms_that_scanners_write() {
        let local = |text: &str| utc(text).map(|t| HostTime::Local(t.seconds()));
        let cases = [
            ("Wed Mar 23 14:31:51 2022", local("2022-03-23T14:31:51Z")),
            ("Mon Jul  1 11:33:11 2013", local("2013-07-01T11:33:11Z")),
            ("2021-03-12T12:34:30.5+01:00", utc("2021-03-12T11:34:30.5Z").map(HostTime::Utc)),
            ("Tues November 1, 2022 10:26:45 2021", None),
            ("Wed Feb 30 14:31:51 2022", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_host_time(text), expected, "{text}");
        }
        assert_eq!(parse_stamp("1648042311"), utc("2022-03-23T13:31:51Z"));
        assert_eq!(parse_stamp("0"), None);
        assert_eq!(parse_stamp("99999999999999"), None);
    }

    #[test]
    fn zones_of_the_scan_information() {
        let cases = [
            ("2026/11/2 10:00 EST (UTC -05:00)", Some(-18_000)),
            ("2026/11/2 10:00 IST (UTC +05:30)", Some(19_800)),
            ("2026/11/2 10:00 UTC", Some(0)),
            ("2026/11/2 10:00 EST", None),
            ("2026/11/2 10:00", None),
            ("2026/11/2 10:00 X (UTC é)", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_scan_zone(text), expected, "{text}");
        }
    }

    #[test]
    fn stamps_come_first_then_the_zone_then_a_guess() {
        let start = parse_host_time("Wed Mar 23 14:31:51 2022");
        let end = parse_host_time("Wed Mar 23 15:07:52 2022");
        let start_stamp = utc("2022-03-23T13:31:51Z");
        let own = HostTimes { start, end, start_stamp, end_stamp: None }.resolve(None, None);
        assert_eq!((own.started, own.ended), (start_stamp, utc("2022-03-23T14:07:52Z")));
        assert_eq!(own.zone, Zone::Known);
        let named = Some(policy::Zone::Named(chrono_tz::Europe::Berlin));
        let of_policy = HostTimes { start, ..HostTimes::default() }.resolve(None, named);
        assert_eq!((of_policy.ended, of_policy.zone), (utc("2022-03-23T13:31:51Z"), Zone::Known));
        let told = HostTimes { start, end, ..HostTimes::default() }.resolve(Some(-18_000), named);
        assert_eq!(told.ended, utc("2022-03-23T20:07:52Z"));
        let guessed = HostTimes { start, ..HostTimes::default() }.resolve(None, None);
        assert_eq!((guessed.ended, guessed.zone), (utc("2022-03-23T14:31:51Z"), Zone::Guessed));
        let stamps =
            HostTimes { end_stamp: start_stamp, ..HostTimes::default() }.resolve(None, None);
        assert_eq!((stamps.started, stamps.ended), (None, start_stamp));
        assert_eq!(HostTimes::default().resolve(None, None).ended, None);
    }
}
