//! What must come out of a case. In: what the generator did, event by event, and what its policy
//! says. Out: the expected rows of tickets.csv, by the words of the design (sections 6 and 7, the
//! priority table). Nothing here reads a log.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::stamp::{DAY, Seconds, Style};
use super::world::{Asset, Role, Target, World};

/// What the mail server did with HELO in one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Helo {
    Accepted,
    Rejected,
    None,
    Unknown,
}

/// What became of AUTH in one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    Ok,
    Failed,
    None,
}

/// One SMTP session that was made.
#[derive(Debug, Clone)]
pub(crate) struct MadeSession {
    pub(crate) start: Seconds,
    pub(crate) end: Seconds,
    pub(crate) helo: Helo,
    pub(crate) auth: Auth,
    pub(crate) queued: bool,
    /// Delivered to an external next hop for a recipient outside the local domains.
    pub(crate) relayed: bool,
}

/// Firewall records of one source on one target by one device.
#[derive(Debug, Clone, Default)]
pub(crate) struct MadeFlows {
    pub(crate) allows: u64,
    pub(crate) closes: u64,
    pub(crate) denials: u64,
}

/// All that was made for one source on one target.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    pub(crate) devices: BTreeMap<&'static str, MadeFlows>,
    pub(crate) permitted: Vec<Seconds>,
    pub(crate) denied: Vec<Seconds>,
    pub(crate) unknown: Vec<Seconds>,
    pub(crate) sessions: Vec<MadeSession>,
}

/// Every source of one target.
pub(crate) type Ledger = BTreeMap<IpAddr, Book>;

/// The class of a source on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Expected,
    Internal,
    External,
}

/// The compared columns of one ticket.
pub(crate) type Row = BTreeMap<&'static str, String>;

/// Expected rows by ticket id: every target but those that are quiet without a `relay` plugin.
pub(crate) fn expected_rows(world: &World) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for (index, asset) in world.assets.iter().enumerate() {
        for target in &asset.targets {
            let ledger = world.ledgers.get(&(index, target.port)).cloned().unwrap_or_default();
            let judged = Judged::new(world, asset, target, &ledger);
            if judged.verdict() != "quiet" || target.relay_plugin {
                let id = format!("helo-{}-{}", asset.key(), target.port);
                rows.insert(id, judged.row(target.scan_helo()));
            }
        }
    }
    rows
}

struct Judged<'a> {
    world: &'a World,
    asset: &'a Asset,
    relay_plugin: bool,
    covered: bool,
    unexpected: Vec<(Class, &'a Book)>,
}

/// A source's rule: its name, its place in the table, its band.
type Rule = (&'static str, usize, u8);

impl<'a> Judged<'a> {
    fn new(world: &'a World, asset: &'a Asset, target: &Target, ledger: &'a Ledger) -> Self {
        let decided = |book: &Book| {
            !book.permitted.is_empty() || !book.denied.is_empty() || !book.devices.is_empty()
        };
        let covered =
            asset.mail.is_some() || asset.covered_by_policy || ledger.values().any(decided);
        let unexpected = ledger
            .iter()
            .map(|(ip, book)| (class(world, asset, target.port, *ip, book), book))
            .filter(|(class, _)| *class != Class::Expected)
            .collect();
        Self { world, asset, relay_plugin: target.relay_plugin, covered, unexpected }
    }

    fn sum(&self, count: impl Fn(&Book) -> u64) -> u64 {
        self.unexpected.iter().map(|(_, book)| count(book)).sum()
    }

    fn verdict(&self) -> &'static str {
        if self.sum(|b| u64::from(b.abuse())) > 0 {
            "abused"
        } else if self.sum(Book::corroborated) > 0 {
            "confirmed"
        } else if self.sum(Book::helo_accepted) > 0 {
            "accepted"
        } else if self.sum(|b| u64::from(b.reached())) > 0 {
            "reachable"
        } else if self.sum(Book::denials) > 0 {
            "blocked"
        } else if self.covered {
            "quiet"
        } else {
            "uncovered"
        }
    }

    fn row(&self, scan_helo: &str) -> Row {
        let (rule, band) = self.rule_and_band();
        let external = self.unexpected.iter().filter(|(class, _)| *class == Class::External);
        let count = |n: u64| n.to_string();
        let first = self.unexpected.iter().filter_map(|(_, book)| book.first()).min();
        Row::from([
            ("scan_helo", scan_helo.to_owned()),
            ("first_seen", first.map(|t| Style::IsoZulu.text(t)).unwrap_or_default()),
            ("verdict", self.verdict().to_owned()),
            ("priority", format!("P{band}")),
            ("rule", rule.to_owned()),
            ("role", self.asset.policy_role().word().to_owned()),
            ("unexpected_sources", self.unexpected.len().to_string()),
            ("external_sources", external.count().to_string()),
            ("helo_accepted", count(self.sum(Book::helo_accepted))),
            ("corroborated", count(self.sum(Book::corroborated))),
            ("mail_accepted", count(self.sum(|b| b.count(|s| s.queued)))),
            ("relayed", count(self.sum(|b| b.count(|s| s.relayed)))),
            ("auth_ok", count(self.sum(|b| b.count(|s| s.auth == Auth::Ok)))),
            ("auth_failed", count(self.sum(|b| b.count(|s| s.auth == Auth::Failed)))),
            ("helo_rejected", count(self.sum(|b| b.count(|s| s.helo == Helo::Rejected)))),
            ("fw_permitted", count(self.sum(Book::permitted_connections))),
            ("fw_denied", count(self.sum(Book::denials))),
        ])
    }

    /// The deciding rule and the final band.
    fn rule_and_band(&self) -> (&'static str, u8) {
        let best = self
            .unexpected
            .iter()
            .filter(|(_, book)| book.reached())
            .map(|(class, book)| self.source_rule(*class, book))
            .min_by_key(|(_, row, band)| (*band, *row));
        let (rule, band) = match best {
            Some((rule, _, band)) => (rule, band),
            None if self.relay_plugin && self.asset.is_public() => ("R0", 2),
            None if self.relay_plugin => ("R0", 3),
            None => ("R0", 4),
        };
        let critical = self.asset.listed.is_some_and(|block| block.critical);
        (rule, if critical { (band - 1).max(1) } else { band })
    }

    fn source_rule(&self, class: Class, book: &Book) -> Rule {
        let total = self.relay_plugin || book.count(|s| s.relayed || s.auth == Auth::Ok) > 0;
        let (name, row, band) = match (book.abuse(), class == Class::External, total) {
            (true, true, true) => ("R15", 0, 1),
            (true, false, true) => ("R13", 1, 1),
            (false, true, true) => ("R14", 2, 1),
            (true, true, false) => ("R11", 3, 1),
            (false, true, false) => ("R7", 4, 2),
            (true, false, false) => ("R6", 5, 2),
            (false, false, true) => ("R10", 6, 3),
            (false, false, false) => ("R3", 7, 3),
        };
        let down = !book.abuse() && (self.silent(book) || book.blocked_since() || self.stale(book));
        (name, row, if down { (band + 1).min(4) } else { band })
    }

    /// No HELO accepted although the mail log covers all permitted flows and can show HELOs.
    fn silent(&self, book: &Book) -> bool {
        let Some(mail) = &self.asset.mail else { return false };
        let covered = |t: &Seconds| (mail.from..=mail.to).contains(t);
        book.helo_accepted() == 0 && mail.shows_helo && book.permitted.iter().all(covered)
    }

    fn stale(&self, book: &Book) -> bool {
        book.last_reach().is_some_and(|t| self.world.end - t > 30 * DAY)
    }
}

impl Book {
    fn count(&self, fits: impl Fn(&MadeSession) -> bool) -> u64 {
        self.sessions.iter().filter(|s| fits(s)).count() as u64
    }

    fn helo_accepted(&self) -> u64 {
        self.count(|s| s.helo == Helo::Accepted)
    }

    /// Accepted sessions with a permitted flow within 120 s.
    fn corroborated(&self) -> u64 {
        let near = |s: &MadeSession| {
            self.permitted.iter().any(|t| (s.start - 120..=s.end + 120).contains(t))
        };
        self.count(|s| s.helo == Helo::Accepted && near(s))
    }

    fn denials(&self) -> u64 {
        self.devices.values().map(|d| d.denials).sum()
    }

    fn permitted_connections(&self) -> u64 {
        self.devices.values().map(|d| d.allows.max(d.closes)).sum()
    }

    fn abuse(&self) -> bool {
        self.count(|s| s.queued || s.relayed || s.auth == Auth::Ok) > 0
    }

    fn reached(&self) -> bool {
        !self.permitted.is_empty() || !self.sessions.is_empty()
    }

    fn first(&self) -> Option<Seconds> {
        let flows = self.permitted.iter().chain(&self.denied).chain(&self.unknown).copied();
        flows.chain(self.sessions.iter().map(|s| s.start)).min()
    }

    fn last_reach(&self) -> Option<Seconds> {
        self.permitted.iter().copied().chain(self.sessions.iter().map(|s| s.end)).max()
    }

    /// The newest firewall record is a denial, later than the last permit and accepted HELO.
    fn blocked_since(&self) -> bool {
        let Some(denied) = self.denied.iter().max() else { return false };
        let helos = self.sessions.iter().filter(|s| s.helo == Helo::Accepted).map(|s| s.end);
        let others = self.permitted.iter().chain(&self.unknown).copied();
        others.chain(helos).all(|t| t < *denied)
    }
}

/// The first class that fits; scanner and trusted are told from expected by nobody here.
fn class(world: &World, asset: &Asset, port: u16, ip: IpAddr, book: &Book) -> Class {
    let networks = &world.networks;
    let expected_network = asset.listed.is_some() && asset.expects(ip);
    if networks.is_scanner(ip) || networks.is_trusted(ip) || asset.known.contains(&ip) {
        return Class::Expected;
    }
    let internal = networks.is_internal(ip);
    if expected_network || role_expects(asset.policy_role(), port, internal, book) {
        return Class::Expected;
    }
    if internal { Class::Internal } else { Class::External }
}

/// The table "roles decide what is expected".
fn role_expects(role: Role, port: u16, internal: bool, book: &Book) -> bool {
    let mail_without_auth = book.count(|s| s.queued && s.auth != Auth::Ok) > 0;
    match role {
        Role::Mx if port == 25 => book.count(|s| s.relayed || s.auth == Auth::Ok) == 0,
        Role::Mx if port == 465 || port == 587 => !mail_without_auth,
        Role::Submission => !mail_without_auth,
        Role::Internal => internal,
        Role::Mx | Role::Relay | Role::None => false,
    }
}
