//! Tests of judging, table by table: roles, verdicts, rules, steps, confidence, reasons. The notes
//! are in `notes`; `play` is the stage.

mod notes;
mod play;
mod suggest;

use play::{Deed, LAST_DAY, Play, ip, noon};

use crate::model::finding::Role;
use crate::model::flow::{Action, Answer, Packet};
use crate::model::judged::{Class, Confidence, Priority, Rule, StepDown, Verdict};
use crate::model::policy::AssetRole;

/// An external, an internal and an expected source, and the trusted and scanning ones.
const EXTERNAL: &str = "198.51.100.7";
const INTERNAL: &str = "10.5.5.5";
const PARTNER: &str = "192.0.2.130";

#[test]
fn roles_decide_what_is_expected() {
    use AssetRole::{Internal, Mx, None, Relay, Submission};
    use Deed::{
        AuthFailed, AuthMail, AuthOk, AuthRelay, Connect, Forward, Helo, HeloRefused, LocalMail,
        Undecided,
    };
    let harmless = [Connect, Helo, HeloRefused, Undecided, AuthFailed];
    let authenticated = [AuthOk, AuthMail, AuthRelay];
    let local = [LocalMail, Forward];
    let all = [&harmless[..], &authenticated, &local, &[Deed::Relay]].concat();
    let any = |deeds: &[&[Deed]]| deeds.concat();
    let rows: [(AssetRole, u16, &str, Vec<Deed>); 12] = [
        (Mx, 25, EXTERNAL, any(&[&harmless, &local])),
        (Mx, 25, INTERNAL, any(&[&harmless, &local])),
        (Mx, 587, EXTERNAL, any(&[&harmless, &authenticated])),
        (Mx, 465, EXTERNAL, any(&[&harmless, &authenticated])),
        (Mx, 2525, EXTERNAL, Vec::new()),
        (Submission, 587, EXTERNAL, any(&[&harmless, &authenticated])),
        (Submission, 25, INTERNAL, any(&[&harmless, &authenticated])),
        (Relay, 25, INTERNAL, Vec::new()),
        (Relay, 25, PARTNER, all.clone()),
        (Internal, 25, INTERNAL, all.clone()),
        (Internal, 25, EXTERNAL, Vec::new()),
        (None, 25, INTERNAL, Vec::new()),
    ];
    for (role, port, client, expected) in rows {
        for &deed in &all {
            let play = Play::new(port).mail_log("shows").role(role);
            let target = play.session(client, noon(50), deed).judge();
            let is_expected = target.unexpected_sources == 0;
            assert_eq!(is_expected, expected.contains(&deed), "{role:?} {port} {client} {deed:?}");
        }
    }
}

#[test]
fn trusted_scanning_and_own_addresses_are_never_sources() {
    for client in ["10.20.0.1", "127.0.0.1", "10.9.9.9", play::SERVER, "::ffff:10.20.0.1"] {
        let play = Play::new(25).mail_log("shows").session(client, noon(50), Deed::Relay);
        assert_eq!(play.judge().verdict, Verdict::Quiet, "{client}");
    }
}

#[test]
fn an_overstepping_source_is_unexpected_with_all_its_evidence() {
    let play = Play::new(25).mail_log("shows").role(AssetRole::Mx);
    let play =
        play.session(EXTERNAL, noon(40), Deed::LocalMail).flow(Action::Allow, EXTERNAL, noon(41));
    let target = play.session(EXTERNAL, noon(50), Deed::Relay).judge();
    assert_eq!((target.rule, target.counts.mail_accepted), (Rule::R15, 2));
    assert_eq!((target.counts.relayed, target.counts.fw_permitted), (1, 1));
    assert_eq!(target.first_seen, Some(noon(40)));
    let note = "1 source did what the role mx does not cover (mail for local users, no relaying \
                and no AUTH).";
    assert!(target.notes.iter().any(|n| n == note), "{:?}", target.notes);
}

#[test]
fn verdicts_strongest_first() {
    let near = noon(50).plus_seconds(-120);
    let far = noon(50).plus_seconds(-121);
    let plays = [
        (Play::new(25), Verdict::Uncovered),
        (Play::new(25).flow(Action::Unknown, EXTERNAL, noon(1)), Verdict::Uncovered),
        (Play::new(25).mail_log("shows"), Verdict::Quiet),
        (Play::new(25).flow(Action::Deny, "10.20.0.1", noon(1)), Verdict::Quiet),
        (
            Play::new(25).mail_log("shows").flow(Action::Deny, EXTERNAL, noon(1)).flow(
                Action::Unknown,
                EXTERNAL,
                noon(2),
            ),
            Verdict::Blocked,
        ),
        (Play::new(25).flow(Action::Close, EXTERNAL, noon(1)), Verdict::Reachable),
        (
            Play::new(25).mail_log("shows").session(EXTERNAL, noon(1), Deed::HeloRefused),
            Verdict::Reachable,
        ),
        (
            Play::new(25).mail_log("shows").session(EXTERNAL, noon(50), Deed::Helo).flow(
                Action::Allow,
                EXTERNAL,
                far,
            ),
            Verdict::Accepted,
        ),
        (
            Play::new(25).mail_log("shows").session(EXTERNAL, noon(50), Deed::Helo).flow(
                Action::Allow,
                EXTERNAL,
                near,
            ),
            Verdict::Confirmed,
        ),
        (
            Play::new(25).mail_log("shows").session(EXTERNAL, noon(1), Deed::LocalMail),
            Verdict::Abused,
        ),
        (Play::new(25).mail_log("shows").session(EXTERNAL, noon(1), Deed::AuthOk), Verdict::Abused),
    ];
    for (number, (play, expected)) in plays.iter().enumerate() {
        assert_eq!(play.judge().verdict, *expected, "row {number}");
    }
}

#[test]
fn records_without_an_answer_and_stray_packets_permit_nothing() {
    let mut play = Play::new(25).flow(Action::Close, EXTERNAL, noon(50));
    play.flows[0].flow.answer = Answer::Never;
    let target = play.judge();
    assert_eq!((target.verdict, target.counts.fw_permitted), (Verdict::Quiet, 0));
    assert_eq!((target.unexpected_sources, target.counts.fw_other), (1, 1));
    play.flows[0].flow.packet = Packet::Stray;
    assert_eq!(play.judge().verdict, Verdict::Uncovered);
    let mut pair = Play::new(25).flow(Action::Allow, EXTERNAL, noon(50)).flow(
        Action::Close,
        EXTERNAL,
        noon(50),
    );
    pair.flows[1].flow.answer = Answer::NeverOfPermitted;
    let target = pair.judge();
    assert_eq!((target.verdict, target.counts.fw_permitted), (Verdict::Quiet, 0));
    let answered = pair.flow(Action::Allow, EXTERNAL, noon(50));
    let target = answered.judge();
    assert_eq!((target.verdict, target.counts.fw_permitted), (Verdict::Reachable, 1));
}

#[test]
fn permitted_connections_are_the_greater_of_allows_and_closes_per_firewall() {
    let mut play = Play::new(25);
    for (action, device) in [
        (Action::Allow, 0),
        (Action::Allow, 0),
        (Action::Close, 0),
        (Action::Close, 1),
        (Action::Close, 1),
        (Action::Close, 1),
    ] {
        play = play.flow(action, EXTERNAL, noon(50));
        play.flows.last_mut().unwrap().device = device;
    }
    let target = play.judge();
    assert_eq!(target.counts.fw_permitted, 5);
    let note = "Firewalls in series count the same connections once each in fw_permitted: fw-a, \
                fw-b.";
    assert_eq!(target.notes, [note]);
}

#[test]
fn one_step_down_for_the_silent_the_blocked_and_the_gone() {
    let silent = || Play::new(25).mail_log("shows").flow(Action::Allow, EXTERNAL, noon(50));
    let open = || Play::new(25).flow(Action::Allow, EXTERNAL, noon(50));
    let rows = [
        (open(), None),
        (silent(), Some(StepDown::Silent)),
        (silent().session(EXTERNAL, noon(51), Deed::HeloRefused), Some(StepDown::Silent)),
        (silent().session(EXTERNAL, noon(51), Deed::Connect), Some(StepDown::Silent)),
        (silent().session(EXTERNAL, noon(51), Deed::Undecided), None),
        (silent().session(EXTERNAL, noon(51), Deed::Helo), None),
        (silent().flow(Action::Allow, EXTERNAL, noon(-1)), None),
        (Play::new(25).mail_log("hides").flow(Action::Allow, EXTERNAL, noon(50)), None),
        (open().flow(Action::Deny, EXTERNAL, noon(51)), Some(StepDown::BlockedSince)),
        (open().flow(Action::Deny, EXTERNAL, noon(50)), None),
        (
            open().flow(Action::Deny, EXTERNAL, noon(51)).flow(Action::Unknown, EXTERNAL, noon(52)),
            None,
        ),
        (open().flow(Action::Deny, "198.51.100.8", noon(51)), None),
        (Play::new(25).flow(Action::Allow, EXTERNAL, noon(LAST_DAY - 30)), None),
        (
            Play::new(25).flow(Action::Allow, EXTERNAL, noon(LAST_DAY - 30).plus_seconds(-1)),
            Some(StepDown::Stale),
        ),
        (Play::new(25).mail_log("shows").session(EXTERNAL, noon(1), Deed::LocalMail), None),
    ];
    for (number, (play, expected)) in rows.iter().enumerate() {
        let target = play.judge();
        let source = target.top_sources.iter().find(|source| source.ip == ip(EXTERNAL));
        assert_eq!(source.unwrap().step_down, *expected, "row {number}");
        let unstepped = if target.rule == Rule::R11 { Priority::P1 } else { Priority::P2 };
        let band = if expected.is_some() { Priority::P3 } else { unstepped };
        assert_eq!(target.priority, band, "row {number}");
    }
}

#[test]
fn a_load_balancer_or_nat_that_hides_clients_makes_nobody_silent() {
    let mut play = Play::new(25).mail_log("shows").flow(Action::Allow, EXTERNAL, noon(50));
    play = play.session("10.30.0.1", noon(50), Deed::Helo);
    play.flows[0].flow.nat_src = Some(crate::model::net::Endpoint { ip: ip("10.30.0.1"), port: 1 });
    let target = play.judge();
    assert_eq!(target.counts.corroborated, 1, "the flow corroborates the NAT address's session");
    let outside = target.top_sources.iter().find(|source| source.ip == ip(EXTERNAL)).unwrap();
    assert_eq!(outside.step_down, None);
    play.policy.networks.proxies =
        crate::model::net::NetSet::new(vec!["10.30.0.1/32".parse().unwrap()]);
    play.flows[0].flow.nat_src = None;
    let target = play.judge();
    assert_eq!((target.unexpected_sources, target.priority), (1, Priority::P2));
    let note = "Sessions came through a load balancer of the policy; the mail log does not show \
                their clients.";
    assert!(target.notes.iter().any(|n| n == note), "{:?}", target.notes);
}

#[test]
fn unreached_targets_are_r0() {
    let rows = [
        (play::SERVER, false, Priority::P4, 180, 20),
        (play::SERVER, true, Priority::P2, 14, 60),
        ("10.0.0.25", true, Priority::P3, 60, 40),
    ];
    for (address, relay, priority, due_days, score) in rows {
        let mut play = Play::new(25);
        play.hosts = vec![play::host(address, "mx1.example.com", &[25])];
        if relay {
            play.hosts[0].targets[0].roles.push(Role::Relay);
        }
        let target = play.judge();
        assert_eq!((target.rule, target.priority, target.due_days), (Rule::R0, priority, due_days));
        assert_eq!((target.score, target.confidence), (score, Confidence::None));
        assert!(target.makes_ticket());
    }
    let quiet = Play::new(25).mail_log("shows");
    assert!(!quiet.judge().makes_ticket());
}

#[test]
fn a_critical_asset_goes_one_step_up() {
    let mut play = Play::new(25).role(AssetRole::Relay).flow(Action::Allow, EXTERNAL, noon(50));
    play.policy.assets[0].critical = true;
    let target = play.judge();
    assert_eq!((target.priority, target.due_days), (Priority::P1, 3));
    assert_eq!(
        target.reasons.join(" | "),
        "P1 84 | R7: no abuse, external, partial impact: 3 days | one step up: critical asset | \
         +2 firewall only, no mail log covers it | +1 1 source | +1 last seen 10 days before the \
         newest log"
    );
    let play = play.mail_log("shows").session(EXTERNAL, noon(50), Deed::Relay);
    let target = play.judge();
    assert_eq!(target.reasons[2], "critical asset: P1 already");
}

#[test]
fn the_reasons_of_the_facts_page() {
    let mut play = Play::new(25).mail_log("shows");
    for host in 1..=4 {
        let client = format!("198.51.100.{host}");
        let time = noon(58).plus_seconds(-5);
        play = play.flow(Action::Allow, &client, time).session(&client, time, Deed::Helo);
    }
    let target = play.judge();
    assert_eq!(
        target.reasons.join(" | "),
        "P2 74 | R7: no abuse, external, partial impact: 14 days | +6 firewall and mail log agree \
         | +3 4 sources | +3 last seen 2 days before the newest log | +2 accepted after the scan"
    );
    assert_eq!((target.confidence, target.due_days), (Confidence::High, 14));
}

#[test]
fn reasons_of_steps_and_weaknesses() {
    let mut play = Play::new(25).mail_log("shows").flow(Action::Allow, EXTERNAL, noon(60));
    play.hosts[0].targets[0].weakens = 3;
    assert_eq!(
        play.judge().reasons.join(" | "),
        "P3 48 | R7: no abuse, external, partial impact: 60 days | one step down, silent: no HELO \
         accepted although the mail log would show it | +1 seen in the logs, no HELO accepted | \
         +1 1 source | +4 last seen within a day of the newest log | +2 3 weaknesses in the scan"
    );
}

#[test]
fn confidence_says_how_far_the_logs_agree() {
    let helo = |play: Play| play.session(EXTERNAL, noon(50), Deed::Helo);
    let rows = [
        (helo(Play::new(25).mail_log("shows")), Confidence::Medium),
        (
            helo(Play::new(25).mail_log("shows")).flow(Action::Allow, EXTERNAL, noon(50)),
            Confidence::High,
        ),
        (Play::new(25).flow(Action::Allow, EXTERNAL, noon(50)), Confidence::Medium),
        (Play::new(25).mail_log("shows").flow(Action::Allow, EXTERNAL, noon(50)), Confidence::Low),
        (
            Play::new(25).mail_log("shows").flow(Action::Allow, EXTERNAL, noon(70)),
            Confidence::Medium,
        ),
        (Play::new(25).flow(Action::Deny, EXTERNAL, noon(50)), Confidence::None),
    ];
    for (number, (play, expected)) in rows.iter().enumerate() {
        assert_eq!(play.judge().confidence, *expected, "row {number}");
    }
}

#[test]
fn the_best_band_after_the_steps_decides() {
    // R14 would be P1, but its source is gone; R7 of the other is not.
    let play = Play::new(25).flow(Action::Allow, EXTERNAL, noon(1)).flow(
        Action::Allow,
        "198.51.100.8",
        noon(59),
    );
    let target = play.judge();
    assert_eq!((target.deciding, target.priority), (Some(ip("198.51.100.8")), Priority::P2));
}

#[test]
fn sources_are_ranked_by_rule_then_helos_then_address() {
    let play = Play::new(25)
        .mail_log("shows")
        .flow(Action::Deny, "198.51.100.1", noon(50))
        .session(INTERNAL, noon(50), Deed::Helo)
        .session("198.51.100.9", noon(50), Deed::Helo)
        .session("198.51.100.10", noon(50), Deed::Helo)
        .session("198.51.100.20", noon(50), Deed::Helo)
        .session("198.51.100.20", noon(51), Deed::Helo)
        .session("2001:db8::1", noon(50), Deed::Helo)
        .session("198.51.100.5", noon(50), Deed::LocalMail);
    let target = play.judge();
    let ips: Vec<String> = target.sources.iter().map(|source| source.ip().to_string()).collect();
    let expected = [
        "198.51.100.5",
        "198.51.100.20",
        "198.51.100.9",
        "198.51.100.10",
        "2001:db8::1",
        "10.5.5.5",
        "198.51.100.1",
    ];
    assert_eq!(ips, expected);
    assert_eq!(target.top_sources.len(), 5);
    assert_eq!((target.unexpected_sources, target.external_sources), (7, 6));
    assert_eq!(target.top_sources[0].class, Class::External);
}
