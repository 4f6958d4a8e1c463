//! Priority, score and confidence of a target, each with its reasons. In: the totals of its
//! sources. Out: integers, and the text that explains every one of them.
//!
//! Points only sort inside a band; they never cross it.

use crate::judge::table::{band_of, facts_text, floor_of, step_text, step_up};
use crate::judge::totals::Totals;
use crate::model::judged::{Confidence, LOOKS_LIKE_MX, Priority, Rule, Verdict};
use crate::model::policy::AssetRole;
use crate::model::time::{SECOND, Timestamp};

/// Microseconds of a day.
const DAY: i64 = 86_400 * SECOND;

/// The most points over the floor of a band.
const MOST: u8 = 19;

/// External sources from which on a server without a role looks like an MX.
const MANY: u64 = 3;

/// Whether a `relay` plugin names the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenRelay {
    No,
    /// On an asset whose address is public.
    Public,
    /// On any other.
    Private,
}

/// What decides about a target besides its sources.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// TCP port.
    pub(super) port: u16,
    /// The newest log line that covers it.
    pub(super) newest: Option<Timestamp>,
    /// What the scan says of open relaying, and where.
    pub(super) relay: OpenRelay,
    /// The asset's role.
    pub(super) role: AssetRole,
    /// Whether the policy marks it critical.
    pub(super) critical: bool,
    /// How many plugins tell a weakness.
    pub(super) weakens: u32,
    /// Days to the due date by priority.
    pub(super) days: [u32; 4],
}

/// The outcome for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranking {
    pub(super) rule: Rule,
    pub(super) priority: Priority,
    pub(super) score: u8,
    pub(super) confidence: Confidence,
    pub(super) due_days: u32,
    pub(super) reasons: Vec<String>,
}

/// The strongest verdict that fits.
pub(super) fn verdict(totals: &Totals, is_covered: bool) -> Verdict {
    let counts = &totals.counts;
    if counts.is_abuse() {
        Verdict::Abused
    } else if counts.corroborated > 0 {
        Verdict::Confirmed
    } else if counts.helo_accepted > 0 {
        Verdict::Accepted
    } else if counts.is_reach() {
        Verdict::Reachable
    } else if counts.fw_denied > 0 {
        Verdict::Blocked
    } else if is_covered {
        Verdict::Quiet
    } else {
        Verdict::Uncovered
    }
}

/// Ranks a target.
pub(super) fn rank(totals: &Totals, around: &Circumstances) -> Ranking {
    let (rule, band) = match totals.best {
        Some(best) => (best.rule, best.band),
        None => (Rule::R0, unreached_band(around)),
    };
    let priority = if around.critical { step_up(band) } else { band };
    let due_days = around.days.get(priority.index()).copied().unwrap_or_default();
    let points = points(totals, around);
    let sum = points.iter().fold(0u8, |sum, (n, _)| sum.saturating_add(*n)).min(MOST);
    let score = floor_of(priority) + sum;
    let mut reasons = vec![format!("{} {score}", priority.word())];
    if looks_like_mx(totals, around) {
        reasons.push(LOOKS_LIKE_MX.to_owned());
    }
    reasons.push(rule_text(rule, around, due_days));
    if let Some(step) = totals.best.and_then(|best| best.step) {
        reasons.push(step_text(step).to_owned());
    }
    if around.critical {
        let up = if priority == band { "critical asset: P1 already" } else { STEP_UP };
        reasons.push(up.to_owned());
    }
    reasons.extend(points.into_iter().map(|(n, text)| format!("+{n} {text}")));
    Ranking { rule, priority, score, confidence: confidence(totals), due_days, reasons }
}

const STEP_UP: &str = "one step up: critical asset";

/// The band of a target that no source reached.
fn unreached_band(around: &Circumstances) -> Priority {
    match around.relay {
        OpenRelay::Public => Priority::P2,
        OpenRelay::Private => Priority::P3,
        OpenRelay::No => band_of(Rule::R0),
    }
}

fn rule_text(rule: Rule, around: &Circumstances, days: u32) -> String {
    let relay = match (rule, around.relay) {
        (Rule::R0, OpenRelay::Public) => ", the scan shows open relaying, public address",
        (Rule::R0, OpenRelay::Private) => ", the scan shows open relaying, no public address",
        _ => "",
    };
    let unit = if days == 1 { "day" } else { "days" };
    format!("{}: {}{relay}: {days} {unit}", rule.word(), facts_text(rule))
}

/// On port 25 without a role, with many external sources of which none does more than to deliver
/// local mail: then the policy has a gap, not the server.
fn looks_like_mx(totals: &Totals, around: &Circumstances) -> bool {
    around.port == 25
        && around.role == AssetRole::None
        && totals.deliverers >= MANY
        && totals.beyond_delivery == 0
}

fn confidence(totals: &Totals) -> Confidence {
    let counts = &totals.counts;
    if totals.best.is_none() {
        Confidence::None
    } else if counts.corroborated > 0 {
        Confidence::High
    } else if counts.helo_accepted > 0 || !totals.in_mail_log {
        Confidence::Medium
    } else {
        Confidence::Low
    }
}

/// The points over the floor, each with its reason.
fn points(totals: &Totals, around: &Circumstances) -> Vec<(u8, String)> {
    let mut points = Vec::new();
    if totals.best.is_some() {
        let (n, text) = agreement(totals);
        points.push((n, text.to_owned()));
    }
    if totals.distinct > 0 {
        let n = totals.distinct.ilog2().saturating_add(1).min(5) as u8;
        points.push((n, counted(totals.distinct, "source", "sources")));
    }
    points.extend(recency(totals, around.newest));
    if totals.after_scan {
        points.push((2, "accepted after the scan".to_owned()));
    }
    if around.weakens > 0 {
        let text = counted(u64::from(around.weakens), "weakness", "weaknesses");
        points.push((around.weakens.min(2) as u8, format!("{text} in the scan")));
    }
    points
}

/// How far the two kinds of logs agree.
fn agreement(totals: &Totals) -> (u8, &'static str) {
    let counts = &totals.counts;
    if counts.corroborated > 0 {
        (6, "firewall and mail log agree")
    } else if counts.helo_accepted > 0 {
        (4, "HELO accepted, no firewall record agrees")
    } else if counts.fw_permitted > 0 && !totals.in_mail_log {
        (2, "firewall only, no mail log covers it")
    } else {
        (1, "seen in the logs, no HELO accepted")
    }
}

fn recency(totals: &Totals, newest: Option<Timestamp>) -> Option<(u8, String)> {
    let behind = newest?.0.saturating_sub(totals.reached?.0).max(0);
    let n = match behind {
        _ if behind <= DAY => return Some((4, "last seen within a day of the newest log".into())),
        _ if behind <= 7 * DAY => 3,
        _ if behind <= 30 * DAY => 1,
        _ => return None,
    };
    let days = counted((behind / DAY) as u64, "day", "days");
    Some((n, format!("last seen {days} before the newest log")))
}

/// `1 source`, `4 sources`.
pub(super) fn counted(n: u64, one: &str, more: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { more })
}
