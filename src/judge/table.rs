//! The priority table: facts of one source to a row, rows to bands. In: abuse, class, impact. Out:
//! rule, band, and the words of both. Adapted from CISA BOD 26-04.

use crate::model::judged::{Class, Priority, Rule, StepDown};

/// How much a source could do or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Impact {
    /// It relayed, its AUTH succeeded, or the scan shows open relaying.
    Total,
    /// Anything less.
    Partial,
}

/// Whether a source got beyond HELO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abuse {
    /// Mail queued or relayed, or AUTH succeeded.
    Seen,
    /// Neither.
    NotSeen,
}

/// The row of an unexpected source that reached the target.
pub(super) fn rule_of(abuse: Abuse, class: Class, impact: Impact) -> Rule {
    let external = class == Class::External;
    match (abuse, external, impact) {
        (Abuse::Seen, true, Impact::Total) => Rule::R15,
        (Abuse::Seen, false, Impact::Total) => Rule::R13,
        (Abuse::NotSeen, true, Impact::Total) => Rule::R14,
        (Abuse::Seen, true, Impact::Partial) => Rule::R11,
        (Abuse::NotSeen, true, Impact::Partial) => Rule::R7,
        (Abuse::Seen, false, Impact::Partial) => Rule::R6,
        (Abuse::NotSeen, false, Impact::Total) => Rule::R10,
        (Abuse::NotSeen, false, Impact::Partial) => Rule::R3,
    }
}

/// The band of a row before any step; of R0 without a `relay` plugin.
pub(super) fn band_of(rule: Rule) -> Priority {
    match rule {
        Rule::R15 | Rule::R13 | Rule::R14 | Rule::R11 => Priority::P1,
        Rule::R7 | Rule::R6 => Priority::P2,
        Rule::R10 | Rule::R3 => Priority::P3,
        Rule::R0 => Priority::P4,
    }
}

/// One band lower, P4 kept.
pub(super) fn step_down(band: Priority) -> Priority {
    match band {
        Priority::P1 => Priority::P2,
        Priority::P2 => Priority::P3,
        Priority::P3 | Priority::P4 => Priority::P4,
    }
}

/// One band higher, P1 kept.
pub(super) fn step_up(band: Priority) -> Priority {
    match band {
        Priority::P1 | Priority::P2 => Priority::P1,
        Priority::P3 => Priority::P2,
        Priority::P4 => Priority::P3,
    }
}

/// The least score of a band.
pub(super) fn floor_of(band: Priority) -> u8 {
    match band {
        Priority::P1 => 80,
        Priority::P2 => 60,
        Priority::P3 => 40,
        Priority::P4 => 20,
    }
}

/// The three facts of a row in words.
pub(super) fn facts_text(rule: Rule) -> &'static str {
    match rule {
        Rule::R15 => "abuse, external, total impact",
        Rule::R13 => "abuse, internal, total impact",
        Rule::R14 => "no abuse, external, total impact",
        Rule::R11 => "abuse, external, partial impact",
        Rule::R7 => "no abuse, external, partial impact",
        Rule::R6 => "abuse, internal, partial impact",
        Rule::R10 => "no abuse, internal, total impact",
        Rule::R3 => "no abuse, internal, partial impact",
        Rule::R0 => "no source reached it",
    }
}

/// Why a source counts one band lower, in words.
pub(super) fn step_text(step: StepDown) -> &'static str {
    match step {
        StepDown::Silent => {
            "one step down, silent: no HELO accepted although the mail log would show it"
        }
        StepDown::BlockedSince => {
            "one step down, blocked since: the newest firewall record is a denial"
        }
        StepDown::Stale => {
            "one step down, stale: last seen more than 30 days before the newest log"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table() {
        let rows = [
            (Abuse::Seen, Class::External, Impact::Total, Rule::R15, Priority::P1),
            (Abuse::Seen, Class::Internal, Impact::Total, Rule::R13, Priority::P1),
            (Abuse::NotSeen, Class::External, Impact::Total, Rule::R14, Priority::P1),
            (Abuse::Seen, Class::External, Impact::Partial, Rule::R11, Priority::P1),
            (Abuse::NotSeen, Class::External, Impact::Partial, Rule::R7, Priority::P2),
            (Abuse::Seen, Class::Internal, Impact::Partial, Rule::R6, Priority::P2),
            (Abuse::NotSeen, Class::Internal, Impact::Total, Rule::R10, Priority::P3),
            (Abuse::NotSeen, Class::Internal, Impact::Partial, Rule::R3, Priority::P3),
        ];
        for (abuse, class, impact, rule, band) in rows {
            assert_eq!(rule_of(abuse, class, impact), rule);
            assert_eq!(band_of(rule), band, "{rule:?}");
        }
        assert!(rows.windows(2).all(|pair| pair[0].3 < pair[1].3), "the order of the table");
    }

    #[test]
    fn steps_stay_within_the_bands() {
        let down = [Priority::P2, Priority::P3, Priority::P4, Priority::P4];
        let up = [Priority::P1, Priority::P1, Priority::P2, Priority::P3];
        assert_eq!(Priority::ALL.map(step_down), down);
        assert_eq!(Priority::ALL.map(step_up), up);
        assert_eq!(Priority::ALL.map(floor_of), [80, 60, 40, 20]);
    }
}
