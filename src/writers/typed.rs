//! Typed values to bytes: numbers, times, addresses, words of our own. In: values that no stranger
//! can fill with text. Out: their text, which no output needs to escape.
//!
//! Without the machinery of `fmt`, as outputs hold millions of them.

use std::io::Write as _;
use std::net::IpAddr;

use crate::model::judged::{Counts, StepDown};
use crate::model::time::Timestamp;

/// Appends a number.
pub(super) fn push_number(to: &mut Vec<u8>, number: u64) {
    to.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a time.
pub(super) fn push_time(to: &mut Vec<u8>, time: Timestamp) {
    match time.rfc3339() {
        Some(text) => to.extend_from_slice(&text),
        // Writing to a Vec cannot fail.
        None => _ = write!(to, "{time}"),
    }
}

/// Appends an address.
pub(super) fn push_ip(to: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            let [first, rest @ ..] = v4.octets();
            push_number(to, u64::from(first));
            for octet in rest {
                to.push(b'.');
                push_number(to, u64::from(octet));
            }
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(v6) => _ = write!(to, "{v6}"),
    }
}

/// The word for a step down.
pub(super) fn step_down(step: StepDown) -> &'static str {
    match step {
        StepDown::Silent => "silent",
        StepDown::BlockedSince => "blocked since",
        StepDown::Stale => "stale",
    }
}

/// A source's counts in the order of the columns.
pub(super) fn in_order(counts: &Counts) -> [u64; 11] {
    [
        counts.helo_accepted,
        counts.corroborated,
        counts.mail_accepted,
        counts.relayed,
        counts.auth_ok,
        counts.auth_failed,
        counts.helo_rejected,
        counts.sessions,
        counts.fw_permitted,
        counts.fw_denied,
        counts.fw_other,
    ]
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    fn pushed(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut to = b"x".to_vec();
        push(&mut to);
        String::from_utf8(to).unwrap()
    }

    fn displayed(value: impl Display) -> String {
        format!("x{value}")
    }

    #[test]
    fn the_ends_of_ranges() {
        for number in [0, 9, 10, 99, 100, u64::MAX / 10, u64::MAX - 1, u64::MAX] {
            assert_eq!(pushed(|to| push_number(to, number)), displayed(number));
        }
        for seconds in [i64::MIN, -62_167_219_201, -1, 0, 253_402_300_800, i64::MAX] {
            let time = Timestamp::from_seconds(seconds);
            assert_eq!(pushed(|to| push_time(to, time)), displayed(time));
        }
    }

    proptest! {
        #[test]
        fn all_are_as_displayed(
            number in any::<u64>(), few in 0u64..1000, micros in any::<i64>(),
            v4 in any::<u32>(), v6 in any::<u128>(), short in 0u128..1 << 40,
        ) {
            for number in [number, few] {
                prop_assert_eq!(pushed(|to| push_number(to, number)), displayed(number));
            }
            for micros in [micros, micros % 10_000_000_000_000_000] {
                let time = Timestamp(micros);
                prop_assert_eq!(pushed(|to| push_time(to, time)), displayed(time));
            }
            let v6 = [v6, short].map(|bits| IpAddr::V6(Ipv6Addr::from(bits)));
            for ip in [IpAddr::V4(v4.into())].into_iter().chain(v6) {
                prop_assert_eq!(pushed(|to| push_ip(to, ip)), displayed(ip));
            }
        }
    }
}
