//! Evidence to verdicts, priorities and reasons. In: the world, the evidence, what became of the
//! inputs. Out: a [`Judgement`], its targets most urgent first.
//!
//! Pure: no I/O, no clock, integers only. Targets are judged one by one and sources one by one
//! inside them; of a source only its ranked address stays, and its facts are made again from the
//! evidence when a ticket asks for them ([`Judge::sources_of`]).

mod control;
mod links;
mod notes;
mod score;
mod source;
mod suggest;
mod sum;
mod table;
mod totals;

use rayon::prelude::*;

use crate::correlate::assets::{Asset, Target};
use crate::correlate::coverage::{Coverage, Covered, ShowsHeloOf, shows_helo_of};
use crate::correlate::evidence::{Address, Evidence, Key, ip_of};
use crate::correlate::piece::Piece;
use crate::correlate::server::LoggedServer;
use crate::correlate::world::World;
use crate::judge::control::Control;
use crate::judge::links::Links;
use crate::judge::score::{Circumstances, OpenRelay, rank, verdict};
use crate::judge::source::Scene;
use crate::judge::totals::Totals;
use crate::model::input::{Devices, InputReport};
use crate::model::judged::{
    CitationKind, CitedLine, JudgedSource, JudgedTarget, Judgement, RankedSource,
};
use crate::model::net::is_public;
use crate::model::policy::Policy;
use crate::model::time::Timestamp;

/// How many sources a ticket names.
const TOP: usize = 5;

/// Sources of a target whose sums wait to be added.
const MANY: usize = 1 << 16;

/// Sources that are not worth parting between threads.
const A_FEW: usize = 256;

/// Everything that judging looks at.
pub struct Judge<'a> {
    world: &'a World,
    policy: &'a Policy,
    evidence: &'a Evidence,
    reports: &'a [InputReport],
    devices: &'a Devices,
    shows_helo: ShowsHeloOf,
    keys: Vec<Key>,
    links: Links,
    covered: Vec<Covered>,
}

impl<'a> Judge<'a> {
    /// Prepares to judge. `reports` are the run's inputs, numbered as in citations; `devices` its
    /// firewalls, numbered as in flow events.
    pub fn new(
        world: &'a World,
        policy: &'a Policy,
        evidence: &'a Evidence,
        reports: &'a [InputReport],
        devices: &'a Devices,
    ) -> Self {
        Self::with_formats(world, policy, evidence, reports, devices, shows_helo_of)
    }

    /// The same with another table of what the logs of mail formats can show.
    pub fn with_formats(
        world: &'a World,
        policy: &'a Policy,
        evidence: &'a Evidence,
        reports: &'a [InputReport],
        devices: &'a Devices,
        shows_helo: ShowsHeloOf,
    ) -> Self {
        let coverage = Coverage::new(world, evidence, reports, shows_helo);
        Self {
            world,
            policy,
            evidence,
            reports,
            devices,
            shows_helo,
            keys: evidence.sorted_keys(),
            links: Links::new(world, evidence),
            covered: coverage.of_targets(policy),
        }
    }

    /// Judges every target.
    pub fn judge(&self) -> Judgement {
        let control = Control::new(self.world, self.evidence);
        let places = 0..self.world.targets().len();
        let mut targets: Vec<JudgedTarget> =
            places.filter_map(|place| self.judge_target(place, &control)).collect();
        targets.sort_by(|a, b| {
            let key = |t: &JudgedTarget| (t.priority, u8::MAX - t.score);
            let name = |t: &JudgedTarget| (t.asset.key.clone(), t.port);
            key(a).cmp(&key(b)).then_with(|| name(a).cmp(&name(b)))
        });
        let coverage = Coverage::new(self.world, self.evidence, self.reports, self.shows_helo);
        Judgement {
            targets,
            unmatched: self.links.unmatched.clone(),
            mail_coverage: coverage.by_mail_server(),
            firewall_coverage: coverage.by_firewall(self.devices),
            warnings: notes::of_run(
                self.world,
                self.evidence,
                self.reports,
                self.devices,
                &self.links,
            ),
        }
    }

    /// Gives all facts of a target's sources, one by one, from any thread; none of a source that
    /// is not among the target's, and none at all if the target is not of this judge.
    pub fn sources_of(
        &self,
        target: &JudgedTarget,
    ) -> impl Fn(RankedSource) -> Option<JudgedSource> + Send + Sync + use<'_> {
        let scene = self.place_of(target).and_then(|place| self.scene(place));
        move |source| described(source, scene.as_ref()?)
    }

    /// The earliest and the latest line known of unexpected sources whose connections to the target
    /// were denied after that time; of a source's denials the first and the last of each day are known.
    pub fn denied_after(
        &self,
        target: &JudgedTarget,
        after: Option<Timestamp>,
    ) -> Option<(CitedLine, CitedLine)> {
        let scene = self.scene(self.place_of(target)?)?;
        let keys = scene.servers.iter().flat_map(|&server| self.keys_of(server));
        let is_unexpected = |key: &&Key| {
            let ip = ip_of(key.source);
            self.world.class(scene.asset, ip).is_unexpected() && !self.world.is_proxy(ip)
        };
        let mut denials: Option<(CitedLine, CitedLine)> = None;
        for cell in keys.filter(is_unexpected).filter_map(|key| self.evidence.cell(*key)) {
            for (_, piece) in cell.days(self.evidence.join()) {
                for line in denied_lines(&piece).filter(|line| line.time > after) {
                    // All are of one kind, so they are ordered by time.
                    denials =
                        Some(denials.map_or((line, line), |(first, last)| {
                            (first.min(line), last.max(line))
                        }));
                }
            }
        }
        denials
    }

    fn place_of(&self, target: &JudgedTarget) -> Option<usize> {
        let (assets, key) = (self.world.assets(), &target.asset.key);
        let from = assets.partition_point(|asset| asset.facts.key < *key);
        let same = assets.get(from..)?.iter().take_while(|asset| asset.facts.key == *key);
        let mut places = same.filter(|asset| asset.facts == target.asset);
        let asset = places.next()?;
        let on_port = |place: &usize| {
            self.world.targets().get(*place).is_some_and(|known| known.port == target.port)
        };
        asset.targets.iter().copied().find(on_port)
    }

    /// The keys of a logged server's sources, ascending.
    fn keys_of(&self, server: u32) -> &[Key] {
        let from = self.keys.partition_point(|key| key.server < server);
        let to = self.keys.partition_point(|key| key.server <= server);
        self.keys.get(from..to).unwrap_or_default()
    }

    fn scene(&self, place: usize) -> Option<Scene<'_>> {
        let target = self.world.targets().get(place)?;
        let asset = self.world.assets().get(target.asset)?;
        let servers = self.links.by_target.get(place)?;
        let covered = self.covered.get(place)?;
        let sources = |server| self.keys_of(server);
        let logs = (self.world, self.evidence);
        Some(Scene::new(logs, (asset, target), (servers, covered), &sources))
    }

    /// The distinct sources of a target, ascending.
    fn addresses(&self, servers: &[u32]) -> Vec<Address> {
        let keys = servers.iter().flat_map(|&server| self.keys_of(server));
        let mut addresses: Vec<Address> = keys.map(|key| key.source).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    fn judge_target(&self, place: usize, control: &Control) -> Option<JudgedTarget> {
        let scene = self.scene(place)?;
        let Scene { asset, target, servers, covered, .. } = scene;
        let sum_of = |addresses: &[Address]| {
            let mut sum = Totals::default();
            scene.each_source(addresses, |address, source| {
                sum.add(address, source, &covered.facts.mail, target.scan.scan_time);
                if sum.wants_names_of(source) {
                    scene.tell_helo_names(address, |time, name| sum.add_helo_name(time, name));
                }
            });
            sum
        };
        let mut totals = match servers {
            // Millions of sources of one server are not listed a second time, but in stretches.
            &[only] => sum_up(self.keys_of(only), |keys| {
                sum_of(&keys.iter().map(|key| key.source).collect::<Vec<_>>())
            }),
            several => sum_up(&self.addresses(several), sum_of),
        };
        totals.ranked.sort_unstable();
        totals.ranked.shrink_to_fit();
        let ranking = rank(&totals, &self.circumstances(asset, target, covered));
        let top = totals.ranked.iter().take(TOP);
        let top_sources = top.filter_map(|&source| described(source, &scene));
        let mut notes = notes::of_target(&scene, &totals, &self.links, self.devices);
        let missing = control.notes(asset, servers, self.evidence.tolerance());
        let misses_control = !missing.is_empty();
        notes.extend(missing);
        let known = servers.iter().filter_map(|&n| self.evidence.servers().get(n as usize));
        let logged: Vec<&LoggedServer> = known.map(|(server, _)| server).collect();
        Some(JudgedTarget {
            asset: asset.facts.clone(),
            port: target.port,
            scan: target.scan.clone(),
            verdict: verdict(&totals, covered.is_covered),
            rule: ranking.rule,
            priority: ranking.priority,
            score: ranking.score,
            confidence: ranking.confidence,
            reasons: ranking.reasons,
            due_days: ranking.due_days,
            deciding: totals.best.map(|best| best.ip),
            unexpected_sources: totals.unexpected,
            external_sources: totals.external,
            counts: totals.counts,
            first_seen: totals.first,
            last_seen: totals.last,
            reached: totals.reached,
            top_sources: top_sources.collect(),
            helo_names: totals.helo_names.into_iter().map(|(_, name)| name).collect(),
            sources: totals.ranked,
            matched: notes::endpoints_text(&logged),
            coverage: covered.facts.clone(),
            misses_control,
            notes,
            proof: None,
        })
    }

    fn circumstances(&self, asset: &Asset, target: &Target, covered: &Covered) -> Circumstances {
        let facts = &asset.facts;
        let public = match facts.ip {
            Some(ip) => is_public(ip),
            None => facts.addresses.iter().any(|&ip| is_public(ip)),
        };
        Circumstances {
            port: target.port,
            newest: covered.facts.newest(),
            relay: match target.has_relay_plugin() {
                true if public => OpenRelay::Public,
                true => OpenRelay::Private,
                false => OpenRelay::No,
            },
            role: facts.role,
            critical: facts.critical,
            weakens: target.weakens,
            days: self.policy.priority.days,
        }
    }
}

/// Sums up parts of a target's sources side by side, and adds the sums in order.
fn sum_up<T: Sync>(sources: &[T], sum_of: impl Fn(&[T]) -> Totals + Sync) -> Totals {
    let mut totals = Totals::default();
    for many in sources.chunks(MANY) {
        // Sources differ so much in their evidence that every stretch is handed out by itself.
        let stretches = many.par_chunks(A_FEW).with_max_len(1);
        let sums: Vec<Totals> = stretches.map(&sum_of).collect();
        for sum in sums {
            totals.append(sum);
        }
    }
    totals
}

/// The first and the last denial of a piece of evidence.
fn denied_lines(piece: &Piece) -> impl Iterator<Item = CitedLine> {
    let denials = piece.traces.cited.iter().filter(|(kind, _)| *kind == CitationKind::Denied);
    denials.flat_map(|&(kind, (first, last))| {
        [first, last].map(|(time, at)| CitedLine { kind, time, at })
    })
}

/// All facts of a source; none if it is not among those of the scene.
fn described(ranked: RankedSource, scene: &Scene<'_>) -> Option<JudgedSource> {
    let (source, traces) = scene.shown_source(ranked.address)?;
    // By kind, the earliest before the latest: in the order of lines, as the piece keeps them.
    let mut citations = Vec::with_capacity(traces.cited.len() * 2);
    for &(kind, (first, last)) in &traces.cited {
        let line = |(time, at)| CitedLine { kind, time, at };
        citations.push(line(first));
        if last != first {
            citations.push(line(last));
        }
    }
    debug_assert!(citations.is_sorted(), "{citations:?}");
    let names = |names: Vec<(i64, Box<str>)>| names.into_iter().map(|(_, name)| name).collect();
    Some(JudgedSource {
        ip: ranked.ip(),
        class: source.class,
        rule: source.rule,
        step_down: source.step_down,
        counts: source.counts,
        first_seen: source.sum.first,
        last_seen: source.sum.last,
        helo_names: names(traces.helo_names),
        sasl_usernames: names(traces.sasl_names),
        citations,
    })
}

#[cfg(test)]
mod tests;
