//! What log lines say of time, and UTC. In: digits and month names of a line, without year or zone
//! as often as not. Out: [`LogTime`], exactly what the line says; and [`Clock`], which makes UTC of
//! it with the input's zone and reference time.
//!
//! The rule for a missing year is the design's (section 6): the latest year that puts the time at
//! or before the reference time plus 48 hours.

mod cursor;

use std::cell::Cell;

use chrono::{DateTime, Datelike, NaiveDate};
use chrono_tz::Tz;

use crate::logs::clock::cursor::{Cursor, parse_fraction, two_digits};
use crate::model::net::parse_decimal;
use crate::model::policy;
use crate::model::time::{SECOND, Timestamp};

/// How far after the reference time a line without a year may lie, in seconds.
const YEAR_SLACK: i64 = 48 * 3600;

/// A time as a line gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogTime {
    /// An epoch, or a civil time with a zone: UTC microseconds.
    Instant(Timestamp),
    /// A civil time.
    Civil(Civil),
}

/// A civil date and time; year and zone may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Civil {
    /// The year, where the line has it.
    pub year: Option<i32>,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// Microseconds of the second.
    pub micros: u32,
    /// Seconds east of UTC, where the line has a zone.
    pub offset: Option<i32>,
}

impl LogTime {
    /// Reads a decimal epoch by its number of digits: 9 or 10 seconds, 13 ms, 16 µs, 19 ns. A
    /// fraction of seconds (`1693242243.123`) is read too.
    pub fn parse_epoch(text: &[u8]) -> Option<Self> {
        let mut parts = text.splitn(2, |&b| b == b'.');
        let whole = parts.next()?;
        let number = i64::try_from(parse_decimal(whole)?).ok()?;
        let micros = match whole.len() {
            9 | 10 => number.checked_mul(SECOND)?,
            13 => number.checked_mul(1000)?,
            16 => number,
            19 => number / 1000,
            _ => return None,
        };
        let fraction = match (parts.next(), whole.len()) {
            (Some(digits), 9 | 10) => i64::from(parse_fraction(digits)?),
            _ => 0,
        };
        Some(Self::Instant(Timestamp(micros.checked_add(fraction)?)))
    }

    /// Reads a TAI64N label, `@4000000065502f1a0b9c3d8c`: `@`, 16 hexadecimal digits of seconds and
    /// 8 of nanoseconds, as multilog and tai64n write it; also TAI64, without the nanoseconds. The
    /// label of a second is its Unix time plus 2^62 + 10, as libtai has it (no later leap seconds).
    /// Gives the time and the number of bytes read.
    pub fn parse_tai64n(text: &[u8]) -> Option<(Self, usize)> {
        const UNIX_EPOCH: i64 = (1 << 62) + 10;
        let digits = text.strip_prefix(b"@")?;
        let length = digits.iter().take(25).take_while(|b| b.is_ascii_hexdigit()).count();
        if length != 16 && length != 24 {
            return None;
        }
        let hex = |from: usize, to: usize| {
            let digits = std::str::from_utf8(digits.get(from..to)?).ok()?;
            i64::from_str_radix(digits, 16).ok()
        };
        let seconds = hex(0, 16)?.checked_sub(UNIX_EPOCH)?;
        let nanos = if length == 24 { hex(16, 24)? } else { 0 };
        if nanos >= 1_000_000_000 {
            return None;
        }
        let micros = seconds.checked_mul(SECOND)?.checked_add(nanos / 1000)?;
        Some((Self::Instant(Timestamp(micros)), length + 1))
    }

    /// Reads the RFC 3164 form `Oct  9 08:07:06`, also with a year after the day
    /// (`Oct 09 2018 08:07:06`), a year at the end (`Oct  9 08:07:06 2018`) or a fraction; gives
    /// the time and the number of bytes read.
    pub fn parse_rfc3164(text: &[u8]) -> Option<(Self, usize)> {
        let mut cursor = Cursor { text, at: 0 };
        let month = month_number(cursor.take(3)?)?;
        cursor.blanks(1)?;
        let day = cursor.number(1, 2)?;
        cursor.blanks(1)?;
        let mut year = cursor.year_then_blank();
        let (hour, minute, second, micros) = cursor.clock_time()?;
        if year.is_none() {
            year = cursor.blank_then_year();
        }
        let civil = Civil {
            year,
            month,
            day: u8::try_from(day).ok()?,
            hour,
            minute,
            second,
            micros,
            offset: None,
        };
        civil.is_valid().then_some((Self::Civil(civil), cursor.at))
    }

    /// Reads the RFC 3164 form where it stands in its fixed columns, `Nov  2 10:00:00`; none
    /// where anything else stands there.
    pub fn parse_rfc3164_columns(text: &[u8; 15]) -> Option<Self> {
        let [a, b, c, b' ', d1, d2, b' ', h1, h2, b':', m1, m2, b':', s1, s2] = *text else {
            return None;
        };
        let civil = Civil {
            year: None,
            month: month_number(&[a, b, c])?,
            day: two_digits(if d1 == b' ' { b'0' } else { d1 }, d2)?,
            hour: two_digits(h1, h2)?,
            minute: two_digits(m1, m2)?,
            second: two_digits(s1, s2)?,
            micros: 0,
            offset: None,
        };
        civil.is_valid().then_some(Self::Civil(civil))
    }

    /// The same time at another second of its minute, by its two digits.
    #[inline]
    pub fn at_second(self, digits: [u8; 2]) -> Option<Self> {
        let Self::Civil(civil) = self else { return None };
        let second = two_digits(digits[0], digits[1]).filter(|second| *second <= 60)?;
        Some(Self::Civil(Civil { second, ..civil }))
    }

    /// Reads the same with the year that Cisco puts after the day, `Nov 02 2026 10:00:00`.
    pub fn parse_rfc3164_year_columns(text: &[u8; 20]) -> Option<Self> {
        let [a, b, c, b' ', d1, d2, b' ', y1, y2, y3, y4, time @ ..] = *text else { return None };
        let [t1, t2, t3, t4, t5, t6, t7, t8, t9] = time;
        let rest = [a, b, c, b' ', d1, d2, t1, t2, t3, t4, t5, t6, t7, t8, t9];
        let Self::Civil(civil) = Self::parse_rfc3164_columns(&rest)? else { return None };
        let year = i32::from(two_digits(y1, y2)?) * 100 + i32::from(two_digits(y3, y4)?);
        let civil = Civil { year: Some(year), ..civil };
        civil.is_valid().then_some(Self::Civil(civil))
    }

    /// Reads the ISO 8601 form `2026-11-02T10:00:00.123456+01:00`: `T` or a blank between, `-` or
    /// `/` in the date, `.` or `,` before a fraction, `Z`, `+0100`, `+01:00`, `+01` or nothing at
    /// the end; gives the time and the number of bytes read.
    pub fn parse_iso(text: &[u8]) -> Option<(Self, usize)> {
        if let Some(civil) = text.first_chunk().and_then(iso_columns) {
            // Most logs with a blank between date and time have neither fraction nor zone.
            if text.get(ISO_COLUMNS) == Some(&b' ') {
                return Some((Self::Civil(civil), ISO_COLUMNS));
            }
            let mut cursor = Cursor { text, at: ISO_COLUMNS };
            let micros = cursor.fraction();
            let offset = cursor.zone();
            return Some((Self::Civil(Civil { micros, offset, ..civil }), cursor.at));
        }
        Self::parse_iso_anyhow(text)
    }

    /// The same for any columns.
    fn parse_iso_anyhow(text: &[u8]) -> Option<(Self, usize)> {
        let mut cursor = Cursor { text, at: 0 };
        let (year, month, day) = cursor.iso_date()?;
        cursor.one_of(b"T t_")?;
        let (hour, minute, second, micros) = cursor.clock_time()?;
        let offset = cursor.zone();
        let year = Some(year);
        let civil = Civil { year, month, day, hour, minute, second, micros, offset };
        civil.is_valid().then_some((Self::Civil(civil), cursor.at))
    }

    /// Reads UTC to the millisecond where it stands in its fixed columns,
    /// `2026-11-02T10:00:00.123Z`; none where anything else stands there.
    pub fn parse_iso_millis(text: &[u8; 24]) -> Option<Self> {
        let [columns @ .., b'.', a, b, c, b'Z'] = text else { return None };
        let civil = iso_columns(columns)?;
        let hundreds = u32::from(two_digits(b'0', *a)?) * 100;
        let micros = (hundreds + u32::from(two_digits(*b, *c)?)) * 1000;
        Some(Self::Civil(Civil { micros, offset: Some(0), ..civil }))
    }

    /// Puts a time together from fields of its own: date `2026-11-02`, time `10:00:00.123`, and
    /// zone `+0100` where there is one. A zone by name is left out.
    pub fn parse_fields(date: &[u8], time: &[u8], zone: Option<&[u8]>) -> Option<Self> {
        let whole = |cursor: &Cursor<'_>| cursor.at == cursor.text.len();
        let mut cursor = Cursor { text: date, at: 0 };
        let (year, month, day) = cursor.iso_date().filter(|_| whole(&cursor))?;
        let mut cursor = Cursor { text: time, at: 0 };
        let (hour, minute, second, micros) = cursor.clock_time().filter(|_| whole(&cursor))?;
        let offset = zone.and_then(|text| Cursor { text, at: 0 }.zone());
        let year = Some(year);
        let civil = Civil { year, month, day, hour, minute, second, micros, offset };
        civil.is_valid().then_some(Self::Civil(civil))
    }
}

impl LogTime {
    /// Reads the form of web servers' logs, `02/Nov/2026:10:00:00 +0100`, with or without the
    /// zone; gives the time and the number of bytes read.
    pub fn parse_clf(text: &[u8]) -> Option<(Self, usize)> {
        let mut cursor = Cursor { text, at: 0 };
        let day = cursor.number(1, 2)?;
        cursor.one_of(b"/")?;
        let month = month_number(cursor.take(3)?)?;
        cursor.one_of(b"/")?;
        let year = cursor.number(4, 4)?;
        cursor.one_of(b":")?;
        let (hour, minute, second, micros) = cursor.clock_time()?;
        let before_zone = cursor.at;
        let offset = cursor.blanks(1).and_then(|()| cursor.zone());
        if offset.is_none() {
            cursor.at = before_zone;
        }
        let civil = Civil {
            year: i32::try_from(year).ok(),
            month,
            day: u8::try_from(day).ok()?,
            hour,
            minute,
            second,
            micros,
            offset,
        };
        civil.is_valid().then_some((Self::Civil(civil), cursor.at))
    }
}

impl Civil {
    /// Whether the fields are a possible date and time (29 February without a year included).
    pub fn is_valid(&self) -> bool {
        let days = match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if self.year.is_none_or(is_leap) => 29,
            2 => 28,
            _ => return false,
        };
        (1..=days).contains(&self.day) && self.hour < 24 && self.minute < 60 && self.second <= 60
    }

    /// Seconds since 1970 of this civil time in that year, as if it were UTC.
    fn seconds_in(&self, year: i32) -> Option<i64> {
        let date = NaiveDate::from_ymd_opt(year, u32::from(self.month), u32::from(self.day))?;
        let days = i64::from(date.num_days_from_ce()) - 719_163;
        Some(days * DAY + self.second_of_day())
    }

    fn second_of_day(&self) -> i64 {
        i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second)
    }

    fn date(&self) -> Date {
        (self.year, self.month, self.day, self.offset)
    }

    fn midnight(&self) -> Self {
        Self { hour: 0, minute: 0, second: 0, ..*self }
    }
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// What is the same for all times of a day: year, month, day and offset.
type Date = (Option<i32>, u8, u8, Option<i32>);

/// Seconds in a day.
const DAY: i64 = 86_400;

/// The zone of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// Nobody said: UTC, and the run reports that it was guessed.
    Guessed,
    /// A fixed offset, seconds east of UTC.
    Fixed(i32),
    /// An IANA zone.
    Named(Tz),
}

impl Zone {
    /// Reads an IANA name (`Europe/Berlin`) or a fixed offset (`+01:00`, `-0330`, `Z`, `UTC`).
    pub fn parse(text: &str) -> Option<Self> {
        let mut cursor = Cursor { text: text.as_bytes(), at: 0 };
        match cursor.zone() {
            Some(offset) if cursor.at == text.len() => Some(Self::Fixed(offset)),
            _ => text.parse().ok().map(Self::Named),
        }
    }
}

/// What an input's clock had to guess, for the run's account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guesses {
    /// Times without a year, neighbours of the same day counted once.
    pub years: u64,
    /// Times without a zone, counted likewise, on an input whose zone nobody named.
    pub zones: u64,
}

/// Makes UTC of an input's times. Not shared between threads: each worker has its own.
#[derive(Debug, Clone)]
pub struct Clock {
    zone: Zone,
    /// The latest time of a line without a year, in seconds since 1970.
    limit: i64,
    /// The latest year that such a line may be of.
    newest_year: i32,
    guesses: Cell<Guesses>,
    /// Offset of the last hour that was looked up in a named zone: (hour since 1970, offset).
    cached_offset: Cell<(i64, i64)>,
    /// The last civil time and what it became: neighbouring lines often share their second.
    last: Cell<Option<(Civil, Option<Timestamp>)>>,
    /// The last date all of whose times lie in one year and have one offset, and the second since
    /// 1970 at which it begins.
    last_day: Cell<Option<(Date, i64)>>,
}

impl Clock {
    /// A clock for an input of this zone, whose lines lie at or before the reference time (the
    /// file's modification time, or `--now`).
    pub fn new(zone: Zone, reference: Timestamp) -> Self {
        let limit = reference.seconds().saturating_add(YEAR_SLACK);
        // In any zone.
        let newest_year = DateTime::from_timestamp(limit, 0).map_or(0, |time| time.year() + 1);
        Self {
            zone,
            limit,
            newest_year,
            guesses: Cell::default(),
            cached_offset: Cell::new((i64::MIN, 0)),
            last: Cell::new(None),
            last_day: Cell::new(None),
        }
    }

    /// UTC of a line's time; none where no year makes the date possible.
    #[inline]
    pub fn resolve(&self, time: LogTime) -> Option<Timestamp> {
        match time {
            LogTime::Instant(instant) => Some(instant),
            LogTime::Civil(civil) => match self.last.get() {
                Some((last, resolved)) if last == civil => resolved,
                _ => self.resolve_next(&civil),
            },
        }
    }

    /// UTC of a civil time that is not the last one.
    fn resolve_next(&self, civil: &Civil) -> Option<Timestamp> {
        let resolved = self.resolve_civil(civil);
        self.last.set(Some((*civil, resolved)));
        resolved
    }

    /// What was guessed so far.
    pub fn guesses(&self) -> Guesses {
        self.guesses.get()
    }

    fn resolve_civil(&self, civil: &Civil) -> Option<Timestamp> {
        let seconds = match self.last_day.get() {
            Some((date, start)) if date == civil.date() => start + civil.second_of_day(),
            _ => self.look_up(civil)?,
        };
        Some(Timestamp(seconds.checked_mul(SECOND)?.checked_add(i64::from(civil.micros))?))
    }

    fn look_up(&self, civil: &Civil) -> Option<i64> {
        let seconds = match civil.year {
            Some(year) => self.to_utc(civil, civil.seconds_in(year)?),
            None => self.latest_year(civil)?,
        };
        let start = seconds - civil.second_of_day();
        let is_even = matches!(self.zone, Zone::Guessed | Zone::Fixed(_)) || civil.offset.is_some();
        // Unless the limit of the missing year lies inside the day.
        let last = Civil { hour: 23, minute: 59, second: 60, ..*civil };
        let whole = || {
            let ends = [civil.midnight(), last].map(|end| self.latest_year(&end));
            ends == [Some(start), Some(start + last.second_of_day())]
        };
        if is_even && (civil.year.is_some() || whole()) {
            self.last_day.set(Some((civil.date(), start)));
        }
        Some(seconds)
    }

    /// The latest year that puts the time at or before the reference plus the slack; eight years
    /// back reach a 29 February from anywhere.
    fn latest_year(&self, civil: &Civil) -> Option<i64> {
        let mut guesses = self.guesses.get();
        guesses.years += 1;
        self.guesses.set(guesses);
        (0..=9)
            .filter_map(|back| Some(self.to_utc(civil, civil.seconds_in(self.newest_year - back)?)))
            .find(|&seconds| seconds <= self.limit)
    }

    fn to_utc(&self, civil: &Civil, local: i64) -> i64 {
        let offset = match (civil.offset, self.zone) {
            (Some(offset), _) | (None, Zone::Fixed(offset)) => i64::from(offset),
            (None, Zone::Named(zone)) => self.named_offset(zone, local),
            (None, Zone::Guessed) => {
                let mut guesses = self.guesses.get();
                guesses.zones += 1;
                self.guesses.set(guesses);
                0
            }
        };
        local - offset
    }

    /// Zones step at most every quarter of an hour, so an offset holds for its quarter.
    fn named_offset(&self, zone: Tz, local: i64) -> i64 {
        let quarter = local.div_euclid(900);
        let (cached, offset) = self.cached_offset.get();
        if cached == quarter {
            return offset;
        }
        let offset = policy::Zone::Named(zone).offset_of_local(local);
        self.cached_offset.set((quarter, offset));
        offset
    }
}

/// The number of an English month name, by its first three letters.
pub fn month_number(name: &[u8]) -> Option<u8> {
    let head: &[u8; 3] = name.first_chunk()?;
    let number = match &head.map(|letter| letter.to_ascii_lowercase()) {
        b"jan" => 1,
        b"feb" => 2,
        b"mar" => 3,
        b"apr" => 4,
        b"may" => 5,
        b"jun" => 6,
        b"jul" => 7,
        b"aug" => 8,
        b"sep" => 9,
        b"oct" => 10,
        b"nov" => 11,
        b"dec" => 12,
        _ => return None,
    };
    Some(number)
}

/// Bytes of `2026-11-02T10:00:00`.
const ISO_COLUMNS: usize = 19;

/// Bytes of it that do not change within a minute.
const ISO_MINUTE: usize = 17;

thread_local! {
    /// The last minute that the thread read in its columns: neighbouring lines often share it.
    static LAST_ISO: Cell<Option<([u8; ISO_MINUTE], Civil)>> = const { Cell::new(None) };
}

/// An ISO 8601 date and time where both stand in their usual columns, to the second.
#[inline]
fn iso_columns(columns: &[u8; ISO_COLUMNS]) -> Option<Civil> {
    let [minute @ .., tens, ones] = columns;
    let civil = match LAST_ISO.get() {
        Some((known, civil)) if known == *minute => civil,
        _ => {
            let civil = iso_minute(minute)?;
            LAST_ISO.set(Some((*minute, civil)));
            civil
        }
    };
    let second = two_digits(*tens, *ones).filter(|second| *second <= 60)?;
    Some(Civil { second, ..civil })
}

/// The minute that a date and time begins with, `2026-11-02T10:00:`.
fn iso_minute(columns: &[u8; ISO_MINUTE]) -> Option<Civil> {
    let [date @ .., b'T' | b' ' | b't' | b'_', h1, h2, b':', m1, m2, b':'] = columns else {
        return None;
    };
    let mut cursor = Cursor { text: date, at: 0 };
    let (year, month, day) = cursor.iso_date().filter(|_| cursor.at == date.len())?;
    let (hour, minute) = (two_digits(*h1, *h2)?, two_digits(*m1, *m2)?);
    let year = Some(year);
    let civil = Civil { year, month, day, hour, minute, second: 0, micros: 0, offset: None };
    civil.is_valid().then_some(civil)
}

#[cfg(test)]
mod tests;
