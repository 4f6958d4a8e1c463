//! Forms of times, missing years and zones, epochs, folds and gaps.

use proptest::prelude::*;

use super::*;

fn utc(zone: Zone, reference: &str, time: LogTime) -> String {
    let reference = Timestamp::parse_rfc3339(reference).unwrap();
    Clock::new(zone, reference).resolve(time).map(|t| t.to_string()).unwrap_or_default()
}

#[test]
fn iso_and_rfc3164_forms() {
    let berlin = Zone::parse("Europe/Berlin").unwrap();
    let cases = [
        ("2026-11-02T10:00:00Z", "2026-11-02T10:00:00Z"),
        ("2026-11-02T10:00:00.5+01:00 x", "2026-11-02T09:00:00Z"),
        ("2026-11-02 10:00:00,123-0330", "2026-11-02T13:30:00Z"),
        ("2026/11/02 10:00:00", "2026-11-02T09:00:00Z"),
        ("Nov  2 10:00:00 mx1", "2026-11-02T09:00:00Z"),
        ("Nov 02 2025 10:00:00: %ASA", "2025-11-02T09:00:00Z"),
        ("Dec 29 12:01:27 2015] IN=", "2015-12-29T11:01:27Z"),
        ("Dec 29 12:01:27 2015x", "2025-12-29T11:01:27Z"),
    ];
    for (text, expected) in cases {
        let bytes = text.as_bytes();
        let (time, _) =
            LogTime::parse_iso(bytes).or_else(|| LogTime::parse_rfc3164(bytes)).unwrap();
        assert_eq!(utc(berlin, "2026-11-03T00:00:00Z", time), expected, "{text}");
    }
    for text in ["Nov 31 10:00:00", "Foo  1 10:00:00", "2026-13-02T10:00:00Z", "Nov  2 10:00"] {
        let bytes = text.as_bytes();
        let read = LogTime::parse_iso(bytes).or_else(|| LogTime::parse_rfc3164(bytes));
        assert_eq!(read, None, "{text}");
    }
}

#[test]
fn web_log_form() {
    let cases = [
        ("02/Nov/2026:10:00:00 +0100 DROP", Some(("2026-11-02T09:00:00Z", 26))),
        ("02/Nov/2026:10:00:00 DROP", Some(("2026-11-02T10:00:00Z", 20))),
        ("32/Nov/2026:10:00:00", None),
    ];
    for (text, expected) in cases {
        let read = LogTime::parse_clf(text.as_bytes());
        let read = read.map(|(t, used)| (utc(Zone::Guessed, "2026-11-03T00:00:00Z", t), used));
        let read = read.as_ref().map(|(time, used)| (time.as_str(), *used));
        assert_eq!(read, expected, "{text}");
    }
}

#[test]
fn date_and_time_in_fields_of_their_own() {
    let cases: [(&str, &str, Option<&str>, &str); 5] = [
        ("2026-11-02", "10:00:00", Some("+0100"), "2026-11-02T09:00:00Z"),
        ("2026/11/02", "10:00:00.25", None, "2026-11-02T10:00:00Z"),
        ("2026-11-02", "10:00:00", Some("CEST"), "2026-11-02T10:00:00Z"),
        ("2026-11-02", "10: 13:03", None, ""),
        ("02.11.2026", "10:00:00", None, ""),
    ];
    for (date, time, zone, expected) in cases {
        let zone = zone.map(str::as_bytes);
        let got = LogTime::parse_fields(date.as_bytes(), time.as_bytes(), zone);
        let got = got.map(|time| utc(Zone::Guessed, "2026-11-03T00:00:00Z", time));
        assert_eq!(got.unwrap_or_default(), expected, "{date} {time}");
    }
}

#[test]
fn years_are_inferred_from_the_reference() {
    let cases = [
        ("Dec 31 23:59:59", "2027-01-01T06:00:00Z", "2026-12-31T23:59:59Z"),
        ("Jan  2 10:00:00", "2027-01-01T06:00:00Z", "2027-01-02T10:00:00Z"),
        ("Jan  4 10:00:00", "2027-01-01T06:00:00Z", "2026-01-04T10:00:00Z"),
        ("Feb 29 10:00:00", "2027-03-01T06:00:00Z", "2024-02-29T10:00:00Z"),
        ("Jan  1 00:00:00", "2026-12-31T12:00:00Z", "2027-01-01T00:00:00Z"),
    ];
    for (text, reference, expected) in cases {
        let (time, _) = LogTime::parse_rfc3164(text.as_bytes()).unwrap();
        assert_eq!(utc(Zone::Guessed, reference, time), expected, "{text} at {reference}");
    }
}

#[test]
fn epochs_by_digits() {
    for text in ["1700000000", "1700000000.000", "1700000000000", "1700000000000000000"] {
        let time = LogTime::parse_epoch(text.as_bytes()).unwrap();
        assert_eq!(utc(Zone::Guessed, "2026-01-01T00:00:00Z", time), "2023-11-14T22:13:20Z");
    }
    assert_eq!(LogTime::parse_epoch(b"17000000001"), None);
}

#[test]
fn tai64n_labels() {
    let cases = [
        ("@400000000000000a00000000 x", Some(("1970-01-01T00:00:00Z", 25))),
        ("@400000005a497a0a00000000", Some(("2018-01-01T00:00:00Z", 25))),
        ("@400000005A497A0A3b9ac9ff", Some(("2018-01-01T00:00:00Z", 25))),
        ("@400000005a497a0a x", Some(("2018-01-01T00:00:00Z", 17))),
        ("@400000005a497a0a3b9aca00", None),
        ("@400000005a497a0a0000000", None),
        ("@400000005a497a0a000000000", None),
        ("@ffffffffffffffff00000000", None),
        ("400000005a497a0a00000000", None),
    ];
    for (text, expected) in cases {
        let read = LogTime::parse_tai64n(text.as_bytes());
        let read = read.map(|(t, used)| (utc(Zone::Guessed, "2026-11-03T00:00:00Z", t), used));
        let read = read.as_ref().map(|(time, used)| (time.as_str(), *used));
        assert_eq!(read, expected, "{text}");
    }
}

#[test]
fn folds_take_the_earlier_time_and_gaps_the_offset_before() {
    let berlin = Zone::parse("Europe/Berlin").unwrap();
    let cases = [
        ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
        ("2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),
    ];
    for (text, expected) in cases {
        let (time, _) = LogTime::parse_iso(text.as_bytes()).unwrap();
        assert_eq!(utc(berlin, "2027-01-01T00:00:00Z", time), expected, "{text}");
    }
}

#[test]
fn zones() {
    assert_eq!(Zone::parse("+01:00"), Some(Zone::Fixed(3600)));
    assert_eq!(Zone::parse("-0330"), Some(Zone::Fixed(-12600)));
    assert_eq!(Zone::parse("UTC"), Some(Zone::Fixed(0)));
    assert_eq!(Zone::parse("Europe/Berlin"), Some(Zone::Named(chrono_tz::Europe::Berlin)));
    assert_eq!(Zone::parse("Berlin"), None);
}

proptest! {
    #[test]
    fn columns_of_milliseconds_are_read_alike(
        text in "[0-2][0-9]{3}[-/]?[01][0-9]-[0-3][0-9][T _x][0-2][0-9]:[0-6][0-9]:[0-6][0-9][.,]?[0-9Z]{2,4}Z?",
    ) {
        let Some(columns) = text.as_bytes().first_chunk() else { return Ok(()) };
        if let Some(time) = LogTime::parse_iso_millis(columns) {
            prop_assert_eq!(LogTime::parse_iso(columns), Some((time, columns.len())));
        }
    }

    #[test]
    fn columns_are_read_as_anything_else_is(
        texts in proptest::collection::vec(
            "20[0-2][0-9][-/][01][0-9]-[0-3][0-9][T x_][0-2][0-9]:[0-6][0-9]:[0-7][0-9]( |[.,Z+-][0-9Z:]{0,6})",
            1..4,
        ),
        second in "[0-7][0-9a]",
    ) {
        for text in &texts {
            let text = text.as_bytes();
            let same_minute = [&text[..17], second.as_bytes(), &text[19..]].concat();
            for text in [text, &same_minute] {
                prop_assert_eq!(LogTime::parse_iso(text), LogTime::parse_iso_anyhow(text));
            }
        }
    }
}
