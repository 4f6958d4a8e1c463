//! Tests of what the evidence suggests for a policy: who is regular, and what a target looks like.

use super::play::{Deed, LAST_DAY, Play, noon};
use crate::model::policy::AssetRole;
use crate::model::suggestion::Suggestions;

/// A play in which so many clients of a network do something on so many days from the first.
fn crowd(port: u16, network: &str, clients: u8, days: i64, deed: Deed) -> Play {
    joined(Play::new(port).mail_log("shows"), network, clients, days, deed)
}

fn joined(mut play: Play, network: &str, clients: u8, days: i64, deed: Deed) -> Play {
    for client in 1..=clients {
        for day in 0..days {
            play = play.session(&format!("{network}.{client}"), noon(day), deed);
        }
    }
    play
}

fn role(suggestions: &Suggestions) -> Option<AssetRole> {
    suggestions.assets.first()?.role.map(|role| role.role)
}

#[test]
fn a_target_looks_like_what_its_sources_do() {
    use AssetRole::{Internal, Mx, Submission};
    let outside = "198.51.100";
    let rows = [
        (crowd(25, outside, 10, 5, Deed::LocalMail), Some(Mx)),
        (crowd(25, outside, 9, 5, Deed::LocalMail), None),
        (crowd(25, outside, 10, 4, Deed::LocalMail), None),
        (crowd(587, outside, 10, 5, Deed::AuthMail), Some(Submission)),
        (crowd(465, outside, 10, 5, Deed::AuthRelay), Some(Submission)),
        (crowd(587, outside, 10, 5, Deed::LocalMail), None),
        (crowd(25, outside, 10, 5, Deed::Relay), None),
        (crowd(25, outside, 10, 5, Deed::Helo), None),
        (crowd(25, "10.5.5", 10, 5, Deed::LocalMail), Some(Internal)),
    ];
    for (number, (play, expected)) in rows.iter().enumerate() {
        assert_eq!(role(&play.suggestions()), *expected, "row {number}");
    }
}

#[test]
fn what_a_ticket_says_of_an_mx_is_told_where_it_is_too_little_for_a_role() {
    let few = crowd(25, "198.51.100", 3, 1, Deed::LocalMail).suggestions();
    assert_eq!((role(&few), few.assets[0].looks_like_mx), (None, true));
    let fewer = crowd(25, "198.51.100", 2, 1, Deed::LocalMail).suggestions();
    assert!(fewer.assets.is_empty());
}

#[test]
fn mail_without_a_time_is_of_no_day() {
    let mut play = crowd(25, "198.51.100", 10, 4, Deed::LocalMail);
    for session in 0..10 {
        let mut untimed = play.sessions[session].clone();
        (untimed.start, untimed.end) = (None, None);
        play.sessions.push(untimed);
    }
    assert_eq!(role(&play.suggestions()), None);
}

#[test]
fn those_who_behave_otherwise_speak_against_a_role() {
    let mx = || crowd(25, "198.51.100", 20, 5, Deed::LocalMail);
    let few = joined(mx(), "192.0.2", 2, 1, Deed::Relay);
    assert_eq!(role(&few.suggestions()), Some(AssetRole::Mx));
    assert_eq!(few.suggestions().assets[0].role.unwrap().others, 2);
    let many = joined(mx(), "192.0.2", 3, 1, Deed::Relay);
    assert_eq!(role(&many.suggestions()), None);
    let internal = crowd(25, "10.5.5", 20, 5, Deed::LocalMail);
    let with_a_stranger = internal.session("198.51.100.7", noon(1), Deed::LocalMail);
    assert_eq!(role(&with_a_stranger.suggestions()), None);
}

#[test]
fn a_role_of_the_policy_is_not_suggested_again() {
    let play = crowd(25, "198.51.100", 10, 5, Deed::LocalMail).role(AssetRole::Relay);
    assert_eq!(role(&play.suggestions()), None);
}

#[test]
fn who_delivers_on_five_of_seven_days_is_regular() {
    // The logs speak of the days from 0 to LAST_DAY.
    let enough = (LAST_DAY + 1) * 5 / 7 + 1;
    let rows = [
        (Deed::LocalMail, enough, 1),
        (Deed::LocalMail, enough - 2, 0),
        (Deed::AuthMail, enough, 1),
        (Deed::Relay, enough, 0),
        (Deed::Helo, enough, 0),
    ];
    for (deed, days, expected) in rows {
        for (network, is_internal) in [("10.5.5", true), ("198.51.100", false)] {
            let suggestions = crowd(25, network, 1, days, deed).suggestions();
            let regulars = suggestions.assets.first().map_or(&[][..], |asset| &asset.regulars);
            assert_eq!(regulars.len(), expected, "{deed:?} {days} {network}");
            for regular in regulars {
                assert_eq!(regular.is_internal, is_internal);
                assert_eq!(i64::from(regular.days), days);
                assert_eq!(i64::from(regular.covered_days), LAST_DAY + 1);
                assert_eq!((regular.mails, regular.sessions), (days as u64, days as u64));
                assert_eq!(regular.first_seen, Some(noon(0)));
            }
        }
    }
}
