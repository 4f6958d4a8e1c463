//! What the texts of a ticket say in each situation, and what they must never say.

mod cut;
mod snippets;
pub(crate) mod tools;

use super::fixtures::{asset, inputs, policy, target, time, with_sources};
use chrono::NaiveDate;

use super::*;
use crate::model::finding::Role;
use crate::model::input::Span;
use crate::model::policy::AcceptedRisk;

fn ticket(target: &JudgedTarget, policy: &Policy, inputs: &[InputReport]) -> Ticket {
    let templates = Templates::built_in().unwrap();
    let setting = Setting { policy, inputs, templates: &templates };
    let author = Author::new(setting);
    author.ticket(target, Standing::new(target)).unwrap()
}

fn texts(target: &JudgedTarget) -> Texts {
    ticket(target, &policy(&["10.20.0.0/16"]), &inputs("netfilter", "postfix")).texts
}

#[test]
fn every_combination_has_all_texts_and_nothing_left_open() {
    let servers = ["postfix", "exim", "sendmail", "exchange", "opensmtpd", "haraka"];
    let firewalls = ["netfilter", "cisco_asa", "fortigate", "panos", "filterlog"];
    for (index, server) in servers.iter().enumerate() {
        let inputs = inputs(firewalls[index % firewalls.len()], server);
        for policy in [policy(&["10.20.0.0/16", "2001:db8:1::/48"]), policy(&[])] {
            for (verdict, role) in Verdict::ALL.iter().flat_map(|v| AssetRole::ALL.map(|r| (*v, r)))
            {
                for (ip, port) in [("203.0.113.25", 25), ("2001:db8::25", 465), ("", 587)] {
                    let mut target = target();
                    target.scan.outputs.clear();
                    target.verdict = verdict;
                    target.port = port;
                    target.asset = asset(ip, "mx1.example.com", role);
                    check_complete(&ticket(&target, &policy, &inputs));
                }
            }
        }
    }
}

fn check_complete(ticket: &Ticket) {
    let Texts { summary, description, remediation, verification, rollback } = &ticket.texts;
    assert!(summary.chars().count() <= 160 && !summary.contains('\n'), "{summary}");
    for text in [description, remediation, verification, rollback] {
        assert!(text.len() > 40, "{text}");
        assert!(text.starts_with(char::is_alphanumeric), "no formula to be neutralised: {text}");
        for wrong in ["{{", "{%", "\n\n\n", "None", "undefined", "SERVER", " \n"] {
            assert!(!text.contains(wrong), "{wrong:?} in {text}");
        }
    }
}

#[test]
fn long_names_are_cut_in_the_summary() {
    let mut target = target();
    target.asset.fqdn = Some("a".repeat(400));
    target.unexpected_sources = u64::MAX;
    let summary = texts(&target).summary;
    assert!(summary.chars().count() <= 160, "{summary}");
}

#[test]
fn the_description_tells_who_when_how_sure_and_where() {
    let description = texts(&target()).description;
    for part in [
        "mx1.example.com (203.0.113.25), port 25/tcp, not named in the policy",
        "34861 SMTP Server Connection Check",
        "its output: \"Remote SMTP server banner : 220 mx1.example.com ESMTP Postfix\"",
        "of 1 source that the policy does not expect, 2026-11-02T10:00:00Z to 2026-11-02T11:00:00Z",
        "HELO accepted in 3 sessions, 2 of them while the firewall permitted",
        "198.51.100.7 (external, R7)",
        "HELO \"probe.example\"; see mail/mail.log.1.gz:12, fw/edge.log:3",
        "How sure: high. Firewall and mail log agree.",
        "Covered by: firewall log 2026-11-01T00:00:00Z to 2026-11-03T00:00:00Z;",
    ] {
        assert!(description.contains(part), "{part} in {description}");
    }
}

#[test]
fn networks_are_filled_in_and_relayhost_is_no_restriction() {
    let remediation = texts(&target()).remediation;
    for part in [
        "ip daddr 203.0.113.25 tcp dport 25 ip saddr != 10.20.0.0/16 counter log prefix",
        "postconf -e 'mynetworks = 127.0.0.0/8 [::1]/128 10.20.0.0/16'",
        "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
        "relayhost only says where this server hands its own mail on",
        "Agree a change window with mail-team",
        "nft list ruleset > /root/helo-203.0.113.25-25.rules",
        "cp -p /etc/postfix/main.cf /etc/postfix/main.cf.helo-203.0.113.25-25",
        "If it is the MX of its domains, it must take unauthenticated mail",
        "smtpd_delay_reject=no",
    ] {
        assert!(remediation.contains(part), "{part} in {remediation}");
    }
    let none = ticket(&target(), &policy(&[]), &inputs("netfilter", "postfix")).texts.remediation;
    assert!(none.contains("names no trusted or expected network"), "{none}");
    assert!(!none.contains("nft -f") && !none.contains("postconf -e"), "{none}");
}

#[test]
fn an_mx_keeps_its_port_open() {
    let mut target = target();
    target.asset.role = AssetRole::Mx;
    target.verdict = Verdict::Abused;
    target.top_sources[0].counts.relayed = 1;
    target.top_sources[0].counts.mail_accepted = 1;
    let texts = texts(&target);
    assert!(texts.remediation.contains("Leave port 25 open"), "{}", texts.remediation);
    assert!(!texts.remediation.contains("nft -f"), "{}", texts.remediation);
    assert!(texts.remediation.contains(
        "Block now, on the firewall, until the rest of this ticket is done: 198.51.100.7."
    ));
    assert!(texts.verification.contains("--to postmaster@example.com --quit-after RCPT"));
    assert!(texts.verification.contains("must be refused at RCPT (550 or 554)"));
}

#[test]
fn abuse_is_looked_into_first() {
    let mut target = target();
    target.verdict = Verdict::Abused;
    target.counts.auth_ok = 2;
    target.top_sources[0].sasl_usernames = vec!["sales\n; rm".into()];
    let texts = texts(&target);
    assert!(texts.remediation.starts_with("First find out what was done"));
    assert!(texts.remediation.contains("Logins by strangers: \"sales\\x0a; rm\"."));
    assert!(texts.remediation.contains("grep -F '[198.51.100.7]'"));
    assert!(texts.summary.ends_with("1 unexpected source, logged in in 2 sessions"));
}

#[test]
fn submission_wants_a_login() {
    let mut target = target();
    target.asset.role = AssetRole::Submission;
    target.port = 587;
    let texts = texts(&target);
    let line =
        "postconf -P 'submission/inet/smtpd_relay_restrictions=permit_sasl_authenticated,reject'";
    assert!(texts.remediation.contains(line), "{}", texts.remediation);
    assert!(texts.verification.contains("--port 587 --tls "), "{}", texts.verification);
}

#[test]
fn uncovered_targets_ask_for_the_missing_logs() {
    let mut target = with_sources(&[]);
    target.verdict = Verdict::Uncovered;
    target.coverage.firewall.clear();
    target.coverage.mail.clear();
    let both = texts(&target).remediation;
    assert!(both.contains("Feed the log of the firewall in front of 203.0.113.25"), "{both}");
    assert!(both.contains("it is looked for under \"mx1.example.com\""), "{both}");
    assert!(both.contains("Postfix from 3.0 on"), "{both}");
    target.counts.fw_other = 3;
    let seen = texts(&target).remediation;
    assert!(seen.contains("Map their log prefixes under [verdicts]"), "{seen}");
}

#[test]
fn blocked_targets_ask_for_a_rescan() {
    let mut target = target();
    target.verdict = Verdict::Blocked;
    target.coverage.mail.clear();
    let texts = texts(&target);
    assert!(texts.remediation.contains("Rescan from where the users are"));
    assert!(texts.remediation.contains("Feed the mail log of this server too"));
    target.scan.roles.push(Role::Relay);
    assert!(super::tests::texts(&target).remediation.contains("postconf -e 'mynetworks"));
}

#[test]
fn a_log_that_cannot_show_helo_says_so() {
    let mut target = target();
    target.coverage.hidden_helo = Some("Set log_selector = +smtp_connection +smtp_no_mail.");
    let description = texts(&target).description;
    assert!(
        description.contains(
            "cannot show that a HELO was accepted, so no line does not mean no HELO. Set log_selector"
        ),
        "{description}"
    );
}

#[test]
fn servers_and_firewalls_are_recognised_by_banner_and_cited_logs() {
    let mut target = target();
    let of = |target: &JudgedTarget, fw, mail| {
        ticket(target, &policy(&["10.20.0.0/16"]), &inputs(fw, mail)).texts.remediation
    };
    let text = of(&target, "cisco_asa", "exim");
    assert!(text.contains("- Postfix."), "the banner counts more: {text}");
    assert!(text.contains("network-object 10.20.0.0 255.255.0.0"), "{text}");
    target.scan.outputs.clear();
    for (fw, mail, expected) in [
        ("fortigate", "exim", "hostlist relay_from_hosts = <; 127.0.0.1 ; ::1 ; 10.20.0.0/16"),
        ("fortigate", "sendmail", "set subnet 10.20.0.0 255.255.0.0"),
        ("panos", "exchange", "-RemoteIPRanges 10.20.0.0/16"),
        ("panos", "opensmtpd", "ip-netmask 10.20.0.0/16"),
        ("filterlog", "haraka", "Permit TCP 25 to 203.0.113.25 from 10.20.0.0/16 only"),
    ] {
        let text = of(&target, fw, mail);
        assert!(text.contains(expected), "{expected} in {text}");
    }
}

#[test]
fn ipv6_is_written_as_the_tools_want_it() {
    let mut target = target();
    target.asset = asset("2001:db8::25", "mx6.example.com", AssetRole::Relay);
    let policy = policy(&["10.20.0.0/16", "2001:db8:1::/48"]);
    let texts = ticket(&target, &policy, &inputs("netfilter", "postfix")).texts;
    assert!(texts.remediation.contains("ip6 saddr != 2001:db8:1::/48 "));
    assert!(texts.remediation.contains("10.20.0.0/16 [2001:db8:1::]/48"));
    assert!(texts.verification.contains("--server 2001:db8::25 --port 25 -6"));
    assert!(texts.verification.contains("telnet 2001:db8::25 25, and HELO probe.example"));
    target.port = 465;
    let texts = ticket(&target, &policy, &inputs("netfilter", "postfix")).texts;
    assert!(texts.verification.contains("openssl s_client -connect '[2001:db8::25]:465'"));
}

#[test]
fn hostile_host_names_come_into_no_command() {
    let mut target = target();
    target.asset = asset("", "$(reboot).example", AssetRole::None);
    let texts = texts(&target);
    for text in [&texts.remediation, &texts.verification, &texts.rollback] {
        assert!(!text.contains("$(reboot)"), "{text}");
    }
    assert!(texts.verification.contains("--server SERVER --port 25"));
}

#[test]
fn due_dates_run_from_the_opening() {
    let mut target = target();
    assert_eq!(Standing::new(&target).due_date, Some(time("2026-11-15T10:00:00Z")));
    target.scan.opened = None;
    assert_eq!(Standing::new(&target).due_date, Some(time("2026-11-17T10:00:00Z")));
}

#[test]
fn an_accepted_risk_is_told_as_such_to_its_last_day() {
    let mut target = target();
    target.asset.key = "mx1".to_owned();
    target.asset.former_keys = vec!["203.0.113.25".to_owned()];
    let mut policy = policy(&[]);
    let targets = [target];
    let status = |policy: &Policy, now: &str| {
        Standings::new(&targets, policy, time(now)).of(&targets[0]).unwrap().status
    };
    assert_eq!(status(&policy, "2027-01-01T00:00:00Z"), Status::New);
    for ticket in ["helo-mx1-25", "helo-203.0.113.25-25"] {
        policy.accepted_risks = vec![AcceptedRisk {
            ticket: ticket.to_owned(),
            until: NaiveDate::from_ymd_opt(2027, 1, 31).unwrap(),
            reason: "partner feed".to_owned(),
        }];
        assert_eq!(status(&policy, "2027-01-31T23:59:59Z"), Status::AcceptedRisk, "{ticket}");
        assert_eq!(status(&policy, "2027-02-01T00:00:00Z"), Status::New, "{ticket}");
    }
    policy.accepted_risks[0].ticket = "helo-mx1-587".to_owned();
    assert_eq!(status(&policy, "2027-01-01T00:00:00Z"), Status::New);
}

#[test]
fn gaps_in_the_coverage_are_told() {
    let mut target = target();
    let later = Span { first: time("2026-11-05T00:00:00Z"), last: time("2026-11-06T00:00:00Z") };
    target.coverage.mail.push(later);
    let description = texts(&target).description;
    assert!(description.contains("to 2026-11-06T00:00:00Z with 1 gap."), "{description}");
}
