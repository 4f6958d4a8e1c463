//! One source on one target: all its evidence, its class, its counts, its row of the table. In:
//! the evidence and what the target knows. Out: a [`Source`], made anew whenever it is asked for,
//! so that millions of them need no memory.

use std::collections::BTreeMap;

use crate::correlate::assets::{Asset, Target};
use crate::correlate::coverage::{Covered, holds};
use crate::correlate::evidence::{Address, Evidence, Key, address_of, ip_of};
use crate::correlate::piece::{FlowKind, Piece};
use crate::correlate::server::LoggedServer;
use crate::correlate::times::Times;
use crate::correlate::world::World;
use crate::judge::table::{Abuse, Impact, rule_of};
use crate::model::judged::{CitationKind, Class, Counts, Rule, StepDown};
use crate::model::policy::AssetRole;
use crate::model::session::{Auth, Helo, Outcome};
use crate::model::time::Timestamp;

/// Days after which a source counts as gone.
const STALE_DAYS: i64 = 30;

/// What judging one target needs to know beside the evidence.
pub(super) struct Scene<'a> {
    pub(super) world: &'a World,
    pub(super) evidence: &'a Evidence,
    pub(super) asset: &'a Asset,
    pub(super) target: &'a Target,
    /// Numbers of the logged servers that mean the target.
    pub(super) servers: &'a [u32],
    pub(super) covered: &'a Covered,
    /// Clients' other addresses under NAT, as firewall records of the target have them.
    pub(super) others: BTreeMap<Address, OtherClient>,
    /// Whether sessions came through a load balancer that hides the client.
    pub(super) proxied: bool,
}

/// A client's other address under NAT: the mail log may show it instead of the client's.
#[derive(Debug, Default)]
pub(super) struct OtherClient {
    /// Permitted flows of all clients behind it; only where it has accepted sessions.
    pub(super) permitted: Times,
    /// Whether it has sessions whose HELO was accepted, or may have been.
    pub(super) may_have_helo: bool,
}

/// One unexpected source on one target.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) class: Class,
    /// All its evidence.
    pub(super) piece: Piece,
    pub(super) counts: Counts,
    /// Its row; none if it did not reach the target.
    pub(super) rule: Option<Rule>,
    pub(super) step_down: Option<StepDown>,
    /// Whether its role would have expected it, had it done less.
    pub(super) overstepped: bool,
}

/// Whether a session count may hide an accepted HELO.
fn may_have_helo(piece: &Piece) -> bool {
    piece.sessions.iter().any(|(kind, _)| matches!(kind.helo, Helo::Accepted | Helo::Unknown))
}

impl<'a> Scene<'a> {
    /// Looks at the target's clients behind NAT and load balancers. `sources` gives the sources of
    /// a logged server.
    pub(super) fn new(
        (world, evidence): (&'a World, &'a Evidence),
        (asset, target): (&'a Asset, &'a Target),
        (servers, covered): (&'a [u32], &'a Covered),
        sources: &dyn Fn(u32) -> &'a [Key],
    ) -> Self {
        let mut scene = Self {
            world,
            evidence,
            asset,
            target,
            servers,
            covered,
            others: BTreeMap::new(),
            proxied: false,
        };
        scene.look_behind_nat(sources);
        scene.proxied = world.has_proxies()
            && servers.iter().filter(|&&number| scene.is_mail(number)).any(|&number| {
                let proxies =
                    sources(number).iter().filter(|key| world.is_proxy(ip_of(key.source)));
                let mut pieces = proxies.filter_map(|key| scene.piece_of(*key));
                pieces.any(|piece| may_have_helo(&piece))
            });
        scene
    }

    fn look_behind_nat(&mut self, sources: &dyn Fn(u32) -> &'a [Key]) {
        for &number in self.servers {
            let Some(LoggedServer::Flow { nat_src: Some(ip), .. }) = self.server(number) else {
                continue;
            };
            let address = address_of(*ip);
            let sessions = self.sessions_of(address);
            let mut other = self.others.remove(&address).unwrap_or_default();
            other.may_have_helo = may_have_helo(&sessions);
            if !sessions.accepted.is_empty() {
                for piece in sources(number).iter().filter_map(|key| self.piece_of(*key)) {
                    other.permitted.merge(&piece.permitted, self.evidence.join());
                }
            }
            self.others.insert(address, other);
        }
    }

    fn server(&self, number: u32) -> Option<&'a LoggedServer> {
        self.evidence.servers().get(number as usize).map(|(server, _)| server)
    }

    fn is_mail(&self, number: u32) -> bool {
        matches!(self.server(number), Some(LoggedServer::Mail { .. }))
    }

    fn piece_of(&self, key: Key) -> Option<Piece> {
        let mut piece = Piece::default();
        self.evidence.cell(key)?.add_to(&mut piece, self.evidence.join());
        Some(piece)
    }

    fn sessions_of(&self, source: Address) -> Piece {
        let mut piece = Piece::default();
        for &server in self.servers.iter().filter(|&&number| self.is_mail(number)) {
            if let Some(cell) = self.evidence.cell(Key { server, source }) {
                cell.add_to(&mut piece, self.evidence.join());
            }
        }
        piece
    }

    /// Judges a source; none if it is expected, a load balancer, or not of this target.
    pub(super) fn source(&self, source: Address) -> Option<Source> {
        let ip = ip_of(source);
        if self.world.is_proxy(ip) {
            return None;
        }
        let class = self.world.class(self.asset, ip);
        if !class.is_unexpected() {
            return None;
        }
        let (mut piece, mut behind) = (Piece::default(), Vec::new());
        for &server in self.servers {
            let Some(cell) = self.evidence.cell(Key { server, source }) else { continue };
            cell.add_to(&mut piece, self.evidence.join());
            if let Some(LoggedServer::Flow { nat_src: Some(ip), .. }) = self.server(server) {
                behind.push(address_of(*ip));
            }
        }
        let counts = self.counts(&piece, self.others.get(&source));
        let role = role_expects(self.asset.facts.role, self.target.port);
        let is_expected = match role {
            Expects::Nobody => false,
            Expects::Internal => class == Class::Internal,
            Expects::LocalMail => counts.relayed == 0 && counts.auth_ok == 0,
            Expects::Authenticated => mail_without_auth(&piece) == 0,
        };
        if is_expected {
            return None;
        }
        let mut judged = Source {
            class,
            rule: None,
            step_down: None,
            overstepped: matches!(role, Expects::LocalMail | Expects::Authenticated),
            counts,
            piece,
        };
        if judged.counts.is_reach() {
            judged.rule = Some(self.rule(&judged));
            judged.step_down = self.step_down(&judged, &behind);
        }
        Some(judged)
    }

    fn counts(&self, piece: &Piece, other: Option<&OtherClient>) -> Counts {
        let mut counts = Counts::default();
        for &(kind, n) in &piece.sessions {
            let add = |column: &mut u64, fits: bool| *column += if fits { n } else { 0 };
            add(&mut counts.sessions, true);
            add(&mut counts.helo_accepted, kind.helo == Helo::Accepted);
            add(&mut counts.helo_rejected, kind.helo == Helo::Rejected);
            add(&mut counts.mail_accepted, kind.outcome >= Outcome::Queued);
            add(&mut counts.auth_ok, kind.auth == Auth::Ok);
            add(&mut counts.auth_failed, kind.auth == Auth::Failed);
        }
        for (deliveries, n) in &piece.delivered {
            if deliveries.iter().any(|delivery| self.world.is_relaying(self.asset, delivery)) {
                counts.relayed += n;
            }
        }
        let tolerance = self.evidence.tolerance();
        for &((start, end), n) in &piece.accepted {
            let first = start.0.saturating_sub(tolerance);
            let last = end.0.saturating_add(tolerance);
            let near = |times: &Times| times.meets(first, last);
            if near(&piece.permitted) || other.is_some_and(|other| near(&other.permitted)) {
                counts.corroborated += n;
            }
        }
        count_flows(piece, &mut counts);
        counts
    }

    fn rule(&self, source: &Source) -> Rule {
        let counts = &source.counts;
        let total = counts.relayed > 0 || counts.auth_ok > 0 || self.target.has_relay_plugin();
        let abuse = if counts.is_abuse() { Abuse::Seen } else { Abuse::NotSeen };
        rule_of(abuse, source.class, if total { Impact::Total } else { Impact::Partial })
    }

    fn step_down(&self, source: &Source, behind: &[Address]) -> Option<StepDown> {
        if source.counts.is_abuse() {
            None
        } else if self.is_silent(source, behind) {
            Some(StepDown::Silent)
        } else if is_blocked_since(&source.piece) {
            Some(StepDown::BlockedSince)
        } else if self.is_stale(&source.piece) {
            Some(StepDown::Stale)
        } else {
            None
        }
    }

    /// No HELO of it was accepted, and the mail log would show it: it covers the server at all
    /// permitted flows, can show HELOs, and shows clients under the addresses that firewalls log.
    fn is_silent(&self, source: &Source, behind: &[Address]) -> bool {
        let mail = &self.covered.mail_bridged;
        let hidden = self.proxied
            || behind.iter().any(|at| self.others.get(at).is_some_and(|o| o.may_have_helo));
        let piece = &source.piece;
        self.covered.shows_helo
            && !mail.is_empty()
            && !hidden
            && !may_have_helo(piece)
            && !has_untimed_permit(piece)
            && piece
                .permitted
                .intervals()
                .iter()
                .all(|&(first, last)| holds(mail, Timestamp(first), Timestamp(last)))
    }

    fn is_stale(&self, piece: &Piece) -> bool {
        match (piece.reached, self.covered.facts.newest()) {
            (Some(reached), Some(newest)) => reached.plus_seconds(STALE_DAYS * 86_400) < newest,
            _ => false,
        }
    }
}

fn count_flows(piece: &Piece, counts: &mut Counts) {
    for flows in piece.flows.chunk_by(|((one, _), _), ((other, _), _)| one == other) {
        let (mut allows, mut closes, mut withdrawn) = (0u64, 0u64, 0u64);
        for &((_, kind), n) in flows {
            match kind {
                FlowKind::Allow => allows += n,
                FlowKind::Close => closes += n,
                FlowKind::Deny => counts.fw_denied += n,
                FlowKind::Other => counts.fw_other += n,
                FlowKind::Withdrawn => {
                    withdrawn += n;
                    counts.fw_other += n;
                }
            }
        }
        counts.fw_permitted += closes.max(allows.saturating_sub(withdrawn));
    }
}

/// Firewalls that permitted connections of the source.
pub(super) fn permitting_devices(piece: &Piece) -> Vec<u32> {
    let permitted = piece.flows.iter().filter(|((_, kind), _)| kind.is_permitted());
    let mut devices: Vec<u32> = permitted.map(|&((device, _), _)| device).collect();
    devices.dedup();
    devices
}

/// What a role expects on a port besides scanner, trusted and expected networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    Nobody,
    Internal,
    /// Anyone, up to delivery of local mail: no relaying, no AUTH.
    LocalMail,
    /// Anyone who authenticates, and anyone who got nowhere: no mail without AUTH.
    Authenticated,
}

fn role_expects(role: AssetRole, port: u16) -> Expects {
    match (role, port) {
        (AssetRole::Mx, 25) => Expects::LocalMail,
        (AssetRole::Mx, 465 | 587) | (AssetRole::Submission, _) => Expects::Authenticated,
        (AssetRole::Internal, _) => Expects::Internal,
        (AssetRole::Mx | AssetRole::Relay | AssetRole::None, _) => Expects::Nobody,
    }
}

/// Sessions whose mail was accepted and of which the log shows that AUTH did not succeed.
fn mail_without_auth(piece: &Piece) -> u64 {
    let without = piece.sessions.iter().filter(|(kind, _)| {
        kind.outcome >= Outcome::Queued && matches!(kind.auth, Auth::None | Auth::Failed)
    });
    without.map(|(_, n)| n).sum()
}

/// The newest firewall record is a denial, later than everything permitted and accepted.
fn is_blocked_since(piece: &Piece) -> bool {
    let Some(denied) = piece.last_of(CitationKind::Denied) else { return false };
    let accepted = piece.accepted.iter().map(|&((_, end), _)| end).max();
    let others =
        [piece.last_of(CitationKind::Permitted), piece.last_of(CitationKind::Seen), accepted];
    others.into_iter().flatten().all(|time| time < denied)
}

/// A permitted flow without a time may lie outside of the mail log.
fn has_untimed_permit(piece: &Piece) -> bool {
    let mut permits = piece.cited.iter().filter(|(kind, _)| *kind == CitationKind::Permitted);
    permits.any(|(_, (earliest, _))| earliest.0.is_none())
}
