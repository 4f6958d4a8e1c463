//! The sources of a target summed up. In: its unexpected sources, one after the other in the order
//! of their addresses; or the sums over a stretch of them and the next. Out: the ticket's counts, the
//! deciding source, and the ranked list.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::correlate::coverage::meets;
use crate::correlate::evidence::{Address, ip_of};
use crate::correlate::piece::{NAMES, keep_name};
use crate::judge::source::{Source, permitting_devices};
use crate::judge::sum::earlier;
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
    /// The networks of the first and of the last source that reached it.
    networks: Option<(Address, Address)>,
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
        source: &Source<'_>,
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
        let devices = permitting_devices(&source.sum);
        if devices.len() > 1 {
            self.series.extend(devices);
        }
    }

    /// Whether names of a source may be among those that are kept.
    pub(super) fn wants_names_of(&self, source: &Source<'_>) -> bool {
        let earliest = source.sum.first.map_or(i64::MAX, |first| first.0);
        self.helo_names.len() < NAMES
            || self.helo_names.last().is_some_and(|&(last, _)| last >= earliest)
    }

    /// Adds a HELO name of a source that is added, see [`keep_name`].
    pub(super) fn add_helo_name(&mut self, time: i64, name: &[u8]) {
        keep_name(&mut self.helo_names, time, name);
    }

    /// Adds the sums over the sources behind those so far.
    pub(super) fn append(&mut self, mut next: Self) {
        self.unexpected += next.unexpected;
        self.external += next.external;
        self.deliverers += next.deliverers;
        self.beyond_delivery += next.beyond_delivery;
        self.overstepped += next.overstepped;
        self.counts.add(&next.counts);
        self.first = earlier(self.first, next.first);
        self.last = self.last.max(next.last);
        self.reached = self.reached.max(next.reached);
        self.after_scan |= next.after_scan;
        self.in_mail_log |= next.in_mail_log;
        self.best = self.best.into_iter().chain(next.best).min();
        for (time, name) in &next.helo_names {
            keep_name(&mut self.helo_names, *time, name.as_bytes());
        }
        self.series.append(&mut next.series);
        self.ranked.append(&mut next.ranked);
        self.distinct += next.distinct;
        if let Some((first, last)) = next.networks {
            let is_known = self.networks.is_some_and(|(_, known)| known == first);
            self.distinct -= u64::from(is_known);
            self.networks = Some((self.networks.map_or(first, |(first, _)| first), last));
        }
    }

    fn add_times(&mut self, source: &Source<'_>, mail: &[Span], scan_time: Option<Timestamp>) {
        let sum = &source.sum;
        self.first = earlier(self.first, sum.first);
        self.last = self.last.max(sum.last);
        self.reached = self.reached.max(sum.reached);
        self.after_scan |= scan_time.is_some() && sum.newest_accepted > scan_time;
        self.in_mail_log |= source.counts.sessions > 0
            || sum
                .permitted
                .intervals()
                .iter()
                .any(|&(first, last)| meets(mail, Timestamp(first), Timestamp(last)));
    }

    fn add_rule(&mut self, address: Address, source: &Source<'_>) {
        let helos = u32::try_from(source.counts.helo_accepted).unwrap_or(u32::MAX);
        let rank = source.rule.map_or(NO_RULE, |rule| rule as u8);
        self.ranked.push(RankedSource { rank, fewest: u32::MAX - helos, address });
        let Some(rule) = source.rule else { return };
        let network = network_of(address);
        let (first, last) = self.networks.unwrap_or((network, network));
        self.distinct += u64::from(self.networks.is_none() || last != network);
        self.networks = Some((first, network));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::piece::{FlowFact, FlowKind, Piece, SessionFact, SessionKind};
    use crate::judge::sum::Sum;
    use crate::model::citation::Citation;
    use crate::model::session::{Auth, Helo, Outcome};
    use proptest::prelude::*;

    /// A source, and all its evidence.
    #[derive(Debug)]
    struct Case {
        piece: Piece,
        class: Class,
        counts: Counts,
        rule: Option<Rule>,
        step_down: Option<StepDown>,
        overstepped: bool,
    }

    impl Case {
        fn add_to(&self, totals: &mut Totals, address: Address, mail: &[Span]) {
            let Self { class, counts, rule, step_down, overstepped, .. } = *self;
            let sum = Sum::of(&self.piece);
            let source = Source { class, sum, counts, rule, step_down, overstepped };
            totals.add(address, &source, mail, Some(Timestamp(25)));
            if totals.wants_names_of(&source) {
                for (time, name) in &self.piece.traces.helo_names {
                    totals.add_helo_name(*time, name.as_bytes());
                }
            }
        }
    }

    /// A source with one session and some flows, at random times.
    fn sources() -> impl Strategy<Value = Case> {
        let classes = prop::sample::select(vec![Class::External, Class::Internal]);
        let rules = prop::option::of(prop::sample::select(vec![Rule::R15, Rule::R7, Rule::R3]));
        let steps = prop::option::of(Just(StepDown::Stale));
        let flows = prop::collection::vec((0u32..3, 0i64..50), 0..3);
        let name = prop::option::of("[a-p]");
        (classes, rules, steps, flows, name, (0i64..50, any::<bool>(), 0u64..3)).prop_map(
            |(class, rule, step_down, flows, name, (start, overstepped, relayed))| {
                let mut piece = Piece::default();
                for (device, time) in flows {
                    let (time, at) = (Some(Timestamp(time)), Citation { input: 0, line: 1 });
                    let kind = FlowKind::Allow;
                    piece.add_flow(&FlowFact { time, device, kind, count: 1, at }, 0);
                }
                let time = Timestamp(start);
                let (helo, auth, outcome) = (Helo::Accepted, Auth::None, Outcome::Queued);
                piece.add_session(&SessionFact {
                    lasted: Some((time, time)),
                    kind: SessionKind { helo, auth, outcome },
                    helo_name: name.as_deref().map(str::as_bytes),
                    sasl_name: None,
                    deliveries: &[],
                });
                let counts = Counts { relayed, helo_accepted: relayed, ..Counts::default() };
                Case { piece, class, counts, rule, step_down, overstepped }
            },
        )
    }

    proptest! {
        /// Two addresses of a /64 may stand on both sides of a cut.
        #[test]
        fn sums_of_stretches_added_are_the_sum_of_all(
            sources in prop::collection::btree_map((0u8..6, 0u8..6), sources(), 0..20),
            cuts in prop::collection::vec(0usize..20, 0..4),
        ) {
            let mail = [Span { first: Timestamp(10), last: Timestamp(12) }];
            let address = |(network, host): (u8, u8)| {
                let mut address = [0x20; 16];
                address[7] = network;
                address[15] = host;
                address
            };
            let add = |totals: &mut Totals, (place, source): (&(u8, u8), &Case)| {
                source.add_to(totals, address(*place), &mail);
            };
            let mut whole = Totals::default();
            for source in &sources {
                add(&mut whole, source);
            }
            let mut sum = Totals::default();
            let mut part = Totals::default();
            for (place, source) in sources.iter().enumerate() {
                if cuts.contains(&place) {
                    sum.append(std::mem::take(&mut part));
                }
                add(&mut part, source);
            }
            sum.append(part);
            prop_assert_eq!(format!("{sum:?}"), format!("{whole:?}"));

            let mut names = Vec::new();
            for (time, name) in sources.values().flat_map(|case| &case.piece.traces.helo_names) {
                keep_name(&mut names, *time, name.as_bytes());
            }
            prop_assert_eq!(whole.helo_names, names);
        }
    }
}
