//! Phrases of a ticket that depend on numbers and words of the model. In: judged facts. Out:
//! short pieces of English that the templates put together. Foreign text leaves here on one line
//! and without characters that act.

use crate::model::finding::{Role, ScanHelo};
use crate::model::input::Span;
use crate::model::judged::{Confidence, Counts, JudgedAsset, JudgedTarget, Verdict};
use crate::model::policy::AssetRole;
use crate::model::text::{shown, shown_short};
use crate::model::time::Timestamp;

/// `1 source`, `3 sources`.
pub(super) fn many(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// Foreign text that the template puts between double quotes.
pub(super) fn quotable(text: &str, most: usize) -> String {
    shown_short(text, most).replace('"', "\\x22")
}

/// Foreign texts, each between double quotes.
pub(super) fn quoted_list(texts: &[Box<str>], most: usize) -> String {
    let quoted = texts.iter().take(most).map(|text| format!("\"{}\"", quotable(text, 64)));
    quoted.collect::<Vec<_>>().join(", ")
}

/// The name under which people know the asset: FQDN, else address, else key; at
/// most so many characters.
pub(super) fn host(asset: &JudgedAsset, most: usize) -> String {
    match (&asset.fqdn, asset.ip) {
        (Some(fqdn), _) => shown_short(fqdn, most).into_owned(),
        (None, Some(ip)) => ip.to_string(),
        (None, None) => shown_short(&asset.key, most).into_owned(),
    }
}

/// A host name that can stand in a command line: letters, digits, dots and hyphens only.
pub(super) fn command_name(asset: &JudgedAsset) -> Option<&str> {
    let plain = |name: &&str| {
        !name.starts_with('-')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
    };
    asset.fqdn.iter().chain([&asset.key]).map(String::as_str).find(plain)
}

pub(super) fn role(asset: &JudgedAsset) -> &'static str {
    match asset.role {
        AssetRole::None if asset.in_policy => "no role in the policy",
        AssetRole::None => "not named in the policy",
        AssetRole::Mx => "role mx (takes mail for its own domains from anyone)",
        AssetRole::Relay => "role relay (relays for expected networks only)",
        AssetRole::Submission => "role submission (takes mail from whoever logs in)",
        AssetRole::Internal => "role internal (serves internal clients)",
    }
}

pub(super) fn scan_helo(answer: ScanHelo) -> &'static str {
    match answer {
        ScanHelo::Accepted => "The scanner's own HELO was accepted.",
        ScanHelo::Refused => "The server refused the scanner before HELO.",
        ScanHelo::Rejected => "The server refused the scanner's HELO.",
        ScanHelo::Unknown => "The scan does not tell what became of a HELO.",
    }
}

pub(super) fn confidence(target: &JudgedTarget) -> &'static str {
    match target.confidence {
        Confidence::High => "high. Firewall and mail log agree.",
        Confidence::Medium if target.counts.helo_accepted > 0 => {
            "medium. The mail log shows it; no firewall record of the same time agrees."
        }
        Confidence::Medium => "medium. The firewall log shows it; no mail log covers this server.",
        Confidence::Low => {
            "low. Only the firewall log shows it, although a mail log covers this server."
        }
        Confidence::None => "no unexpected source reached the port in the logs that were read.",
    }
}

/// What the summary says after the host, in a few words.
pub(super) fn headline(target: &JudgedTarget) -> String {
    if target.proof.is_some() {
        return "resolved, no longer reported and not reached since".to_owned();
    }
    let counts = &target.counts;
    let sources = many(target.unexpected_sources, "unexpected source");
    let sessions = |n| many(n, "session");
    match target.verdict {
        Verdict::Abused if counts.relayed > 0 => {
            format!("{sources}, mail relayed in {}", sessions(counts.relayed))
        }
        Verdict::Abused if counts.auth_ok > 0 => {
            format!("{sources}, logged in in {}", sessions(counts.auth_ok))
        }
        Verdict::Abused => {
            format!("{sources}, mail accepted in {}", sessions(counts.mail_accepted))
        }
        Verdict::Confirmed => format!(
            "{sources}, HELO accepted in {}, firewall agrees",
            sessions(counts.helo_accepted)
        ),
        Verdict::Accepted => {
            format!("{sources}, HELO accepted in {}", sessions(counts.helo_accepted))
        }
        Verdict::Reachable if target.coverage.hidden_helo.is_some() => {
            format!("{sources} let through, the server's log cannot show HELO")
        }
        Verdict::Reachable => format!("{sources}, let through, no HELO accepted"),
        Verdict::Blocked => format!("{sources}, all denied: confirm the block"),
        Verdict::Quiet if target.has_role(Role::Relay) => {
            "scan reports open relaying, no unexpected use in the logs".to_owned()
        }
        Verdict::Quiet => "nothing unexpected in the logs any more, to be scanned again".to_owned(),
        Verdict::Uncovered => "no log covers it, logs are missing".to_owned(),
    }
}

/// The counts that are not 0, each a line of the description.
pub(super) fn facts(counts: &Counts) -> Vec<String> {
    let sessions = |n| many(n, "session");
    let mut facts = Vec::new();
    let mut tell = |n: u64, text: String| {
        if n > 0 {
            facts.push(text);
        }
    };
    let also = match counts.corroborated {
        0 => String::new(),
        n => format!(", {n} of them while the firewall permitted a connection of that source"),
    };
    tell(
        counts.helo_accepted,
        format!("HELO accepted in {}{also}", sessions(counts.helo_accepted)),
    );
    let relayed = match counts.relayed {
        0 => String::new(),
        n => format!(", in {n} of them relayed to another domain"),
    };
    tell(
        counts.mail_accepted,
        format!("mail accepted in {}{relayed}", sessions(counts.mail_accepted)),
    );
    tell(counts.auth_ok, format!("login succeeded in {}", sessions(counts.auth_ok)));
    tell(counts.auth_failed, format!("login failed in {}", sessions(counts.auth_failed)));
    tell(counts.helo_rejected, format!("HELO refused in {}", sessions(counts.helo_rejected)));
    let connections = |n| many(n, "connection");
    tell(counts.fw_permitted, format!("firewall permitted {}", connections(counts.fw_permitted)));
    tell(counts.fw_denied, format!("firewall denied {}", connections(counts.fw_denied)));
    facts
}

/// What one source did, on one line.
pub(super) fn did(counts: &Counts) -> String {
    let terms = [
        (counts.helo_accepted, "HELO accepted"),
        (counts.corroborated, "of them corroborated"),
        (counts.mail_accepted, "mail accepted"),
        (counts.relayed, "relayed"),
        (counts.auth_ok, "logged in"),
        (counts.auth_failed, "login failed"),
        (counts.helo_rejected, "HELO refused"),
        (counts.fw_permitted, "permitted"),
        (counts.fw_denied, "denied"),
        (counts.fw_other, "neither permitted nor denied"),
    ];
    let told = terms.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    let text = told.collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        format!("{} without HELO", many(counts.sessions, "session"))
    } else {
        text
    }
}

/// `T1 to T2`, `T`, or nothing where no time is known.
pub(super) fn period(first: Option<Timestamp>, last: Option<Timestamp>) -> String {
    match (first, last) {
        (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
        (Some(time), _) | (None, Some(time)) => time.to_string(),
        (None, None) => "time unknown".to_owned(),
    }
}

/// From when to when logs cover something, with the number of gaps.
pub(super) fn coverage(spans: &[Span]) -> Option<String> {
    let (first, last) = (spans.first()?, spans.last()?);
    let period = period(Some(first.first), Some(last.last));
    Some(match spans.len() - 1 {
        0 => period,
        gaps => format!("{period} with {}", many(gaps as u64, "gap")),
    })
}

/// Sentences that may hold foreign names.
pub(super) fn shown_all(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| shown(text).into_owned()).collect()
}
