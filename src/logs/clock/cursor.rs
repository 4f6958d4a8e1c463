//! Walks over the text of a time. In: a text and where to begin. Out: dates, clock times and zones as
//! they stand there, and how far they reach.
//!
//! What stands in its usual columns is read from there, everything else digit by digit. Which forms
//! there are and what they mean is `clock`'s.

use crate::model::net::parse_decimal;

/// The number of two digits.
pub(super) fn two_digits(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens & 15) * 10 + (ones & 15))
}

/// Microseconds of a decimal fraction's digits.
pub(super) fn parse_fraction(digits: &[u8]) -> Option<u32> {
    let digits = digits.get(..6).unwrap_or(digits);
    let scale = 10u64.checked_pow(6u32.checked_sub(u32::try_from(digits.len()).ok()?)?)?;
    u32::try_from(parse_decimal(digits)?.checked_mul(scale)?).ok()
}

/// Walks over the text of a time.
pub(super) struct Cursor<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let part = self.text.get(self.at..end)?;
        self.at = end;
        Some(part)
    }

    pub(super) fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|b| bytes.contains(b))?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn blanks(&mut self, at_least: usize) -> Option<()> {
        let start = self.at;
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
        (self.at - start >= at_least).then_some(())
    }

    pub(super) fn digits(&mut self, at_most: usize) -> &'a [u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.iter().take(at_most).take_while(|b| b.is_ascii_digit()).count();
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    pub(super) fn number(&mut self, at_least: usize, at_most: usize) -> Option<u64> {
        let digits = self.digits(at_most);
        (digits.len() >= at_least).then(|| parse_decimal(digits)).flatten()
    }

    /// `YYYY-MM-DD` or `YYYY/MM/DD`.
    pub(super) fn iso_date(&mut self) -> Option<(i32, u8, u8)> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        // Where it stands in columns, which is nearly always, it is read from there.
        if let Some(&[y1, y2, y3, y4, dash @ (b'-' | b'/'), m1, m2, other, d1, d2]) =
            rest.first_chunk()
            && dash == other
            && let (Some(century), Some(year)) = (two_digits(y1, y2), two_digits(y3, y4))
            && let (Some(month), Some(day)) = (two_digits(m1, m2), two_digits(d1, d2))
        {
            self.at += 10;
            return Some((i32::from(century) * 100 + i32::from(year), month, day));
        }
        let year = self.number(4, 4)?;
        let dash = self.one_of(b"-/")?;
        let month = self.number(1, 2)?;
        self.one_of(&[dash])?;
        let day = self.number(1, 2)?;
        Some((i32::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?))
    }

    /// `HH:MM:SS` and a fraction.
    pub(super) fn clock_time(&mut self) -> Option<(u8, u8, u8, u32)> {
        let (hour, minute, second) = self.clock_columns().or_else(|| self.clock_numbers())?;
        Some((hour, minute, second, self.fraction()))
    }

    /// Microseconds of the fraction that may follow the seconds.
    pub(super) fn fraction(&mut self) -> u32 {
        let before = self.at;
        if self.one_of(b".,").is_none() {
            return 0;
        }
        parse_fraction(self.digits(12)).unwrap_or_else(|| {
            self.at = before;
            0
        })
    }

    /// `HH:MM:SS` in columns, as nearly all logs have it.
    pub(super) fn clock_columns(&mut self) -> Option<(u8, u8, u8)> {
        let rest = self.text.get(self.at..)?;
        let &[h1, h2, b':', m1, m2, b':', s1, s2] = rest.first_chunk()? else { return None };
        let read = (two_digits(h1, h2)?, two_digits(m1, m2)?, two_digits(s1, s2)?);
        self.at += 8;
        Some(read)
    }

    /// The same with an hour of one digit.
    fn clock_numbers(&mut self) -> Option<(u8, u8, u8)> {
        let small = |number: u64| u8::try_from(number).ok();
        let hour = self.number(1, 2).and_then(small)?;
        self.one_of(b":")?;
        let minute = self.number(2, 2).and_then(small)?;
        self.one_of(b":")?;
        Some((hour, minute, self.number(2, 2).and_then(small)?))
    }

    /// A year between day and time; a blank must follow, else it was an hour.
    pub(super) fn year_then_blank(&mut self) -> Option<i32> {
        let start = self.at;
        let year = self.number(4, 4).and_then(|year| i32::try_from(year).ok());
        if year.is_some() && self.blanks(1).is_some() {
            return year;
        }
        self.at = start;
        None
    }

    /// A year after the time, as in `Tue Dec 29 12:01:27 2015`: four digits and no more.
    pub(super) fn blank_then_year(&mut self) -> Option<i32> {
        let start = self.at;
        let year = self
            .blanks(1)
            .and_then(|()| self.number(4, 4))
            .filter(|year| (1970..2200).contains(year))
            .filter(|_| !matches!(self.peek(), Some(b) if b != b' ' && b != b']' && b != b':'));
        if year.is_none() {
            self.at = start;
        }
        year.and_then(|year| i32::try_from(year).ok())
    }

    /// `Z`, `UTC`, `GMT`, `+01:00`, `+0100`, `+01`; nothing is read where none of them stands.
    pub(super) fn zone(&mut self) -> Option<i32> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for name in [b"UTC".as_slice(), b"GMT", b"Z", b"z"] {
            if rest.starts_with(name) {
                self.at += name.len();
                return Some(0);
            }
        }
        let start = self.at;
        let offset = self.numeric_zone();
        if offset.is_none() {
            self.at = start;
        }
        offset
    }

    fn numeric_zone(&mut self) -> Option<i32> {
        let sign = if self.one_of(b"+-")? == b'-' { -1 } else { 1 };
        let hours = self.number(2, 2)?;
        let before = self.at;
        let colon = self.one_of(b":").is_some();
        let minutes = match self.number(2, 2) {
            Some(minutes) => minutes,
            None if colon => {
                self.at = before;
                0
            }
            None => 0,
        };
        let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
        (hours < 19 && minutes < 60).then_some(sign * seconds)
    }
}
