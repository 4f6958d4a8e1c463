//! The sources of a target summed up. In: its unexpected sources, one after the other in the order
//! of their addresses. Out: the ticket's counts, the deciding source, and the ranked list.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::correlate::coverage::meets;
use crate::correlate::evidence::{Address, ip_of};
use crate::correlate::piece::keep_name;
use crate::judge::source::{Source, permitting_devices};
use crate::judge::table::{band_of, step_down};
use crate::model::input::Span;
use crate::model::judged::{Class, Counts, Priority, RankedSource, Rule, StepDown};
use crate::model::time::Timestamp;

/// Place of sources without a rule in the ranked list.
const NO_RULE: u8 = u8::MAX;

/// Sums over the unexpected sources of one target.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) unexpected: u64,
    pub(super) external: u64,
    pub(super) counts: Counts,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    /// The latest time at which one of them reached the server.
    pub(super) reached: Option<Timestamp>,
    /// Distinct sources that reached it, IPv6 by /64.
    pub(super) distinct: u64,
    /// Whether a HELO was accepted after the scan.
    pub(super) after_scan: bool,
    /// Whether the mail log covers the time of some of what is known: a session, or a permitted
    /// flow.
    pub(super) in_mail_log: bool,
    pub(super) best: Option<Best>,
    pub(super) helo_names: Vec<(i64, Box<str>)>,
    /// Firewalls that each permitted connections of one and the same source.
    pub(super) series: BTreeSet<u32>,
    /// External sources whose mail was accepted.
    pub(super) deliverers: u64,
    /// External sources that relayed or authenticated.
    pub(super) beyond_delivery: u64,
    /// Sources that the role would have expected, had they done less.
    pub(super) overstepped: u64,
    pub(super) ranked: Vec<RankedSource>,
    last_network: Option<Address>,
}

/// The deciding source: the best band after its step down, then the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Best {
    pub(super) band: Priority,
    pub(super) rule: Rule,
    pub(super) step: Option<StepDown>,
    pub(super) ip: IpAddr,
}

impl Totals {
    /// Adds a source; addresses must ascend.
    pub(super) fn add(
        &mut self,
        address: Address,
        source: &Source,
        mail: &[Span],
        scan_time: Option<Timestamp>,
    ) {
        let counts = &source.counts;
        let external = source.class == Class::External;
        self.unexpected += 1;
        self.external += u64::from(external);
        self.deliverers += u64::from(external && counts.mail_accepted > 0);
        self.beyond_delivery += u64::from(external && (counts.relayed > 0 || counts.auth_ok > 0));
        self.overstepped += u64::from(source.overstepped);
        self.counts.add(counts);
        self.add_times(source, mail, scan_time);
        self.add_rule(address, source);
        for (time, name) in &source.piece.helo_names {
            keep_name(&mut self.helo_names, *time, name);
        }
        let devices = permitting_devices(&source.piece);
        if devices.len() > 1 {
            self.series.extend(devices);
        }
    }

    fn add_times(&mut self, source: &Source, mail: &[Span], scan_time: Option<Timestamp>) {
        let piece = &source.piece;
        self.first = match (self.first, piece.first) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
        self.last = self.last.max(piece.last);
        self.reached = self.reached.max(piece.reached);
        let newest = piece.accepted.iter().map(|&((start, _), _)| start).max();
        self.after_scan |= scan_time.is_some() && newest > scan_time;
        self.in_mail_log |= source.counts.sessions > 0
            || piece
                .permitted
                .intervals()
                .iter()
                .any(|&(first, last)| meets(mail, Timestamp(first), Timestamp(last)));
    }

    fn add_rule(&mut self, address: Address, source: &Source) {
        let helos = u32::try_from(source.counts.helo_accepted).unwrap_or(u32::MAX);
        let rank = source.rule.map_or(NO_RULE, |rule| rule as u8);
        self.ranked.push(RankedSource { rank, fewest: u32::MAX - helos, address });
        let Some(rule) = source.rule else { return };
        let network = network_of(address);
        self.distinct += u64::from(self.last_network != Some(network));
        self.last_network = Some(network);
        let band = band_of(rule);
        let band = if source.step_down.is_some() { step_down(band) } else { band };
        let best = Best { band, rule, step: source.step_down, ip: ip_of(address) };
        self.best = Some(self.best.map_or(best, |known| known.min(best)));
    }
}

/// The address of an IPv4 source, the /64 of an IPv6 one.
fn network_of(address: Address) -> Address {
    if ip_of(address).is_ipv4() {
        return address;
    }
    (u128::from_be_bytes(address) >> 64 << 64).to_be_bytes()
}
