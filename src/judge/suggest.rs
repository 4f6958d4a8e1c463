//! What a person would write into a policy after looking at the evidence. In: a judge and its
//! judgement. Out: [`Suggestions`], each with the numbers behind it.
//!
//! Strangers write a part of every log: that somebody delivers every day, or that many do, is no
//! proof that they may. So nothing here looks at what a client says of itself (HELO, names), and
//! addresses of strangers are told apart from the organisation's own.

use std::collections::BTreeSet;

use crate::correlate::cell::NO_DAY;
use crate::correlate::evidence::{Address, Key, ip_of};
use crate::judge::Judge;
use crate::judge::source::{Scene, Source};
use crate::model::input::Span;
use crate::model::judged::{Class, Judgement};
use crate::model::policy::AssetRole;
use crate::model::session::Outcome;
use crate::model::suggestion::{AssetSuggestion, Regular, RoleSuggestion, Suggestions};

/// The fewest days on which a source must have delivered to count as one that does so every day.
const FEWEST_DAYS: u32 = 5;
/// Of seven covered days those on which it must have delivered: offices rest on two.
const DAYS_OF_SEVEN: u32 = 5;
/// The fewest distinct sources that make an asset look like a role.
const FEWEST_SOURCES: u64 = 10;
/// How many of a role's sources there must be for each one that behaved otherwise.
const FOR_EACH_OTHER: u64 = 10;

/// What the unexpected sources of one target did.
#[derive(Debug, Default)]
struct Habits {
    regulars: Vec<Regular>,
    /// External sources that delivered mail without AUTH and relayed none.
    deliver: Crowd,
    /// External sources that authenticated.
    authenticate: Crowd,
    /// Internal sources that delivered or authenticated.
    internal: Crowd,
    /// External sources that relayed without AUTH.
    relay: u64,
}

/// Sources that behave alike.
#[derive(Debug, Default)]
struct Crowd {
    sources: u64,
    mails: u64,
    days: BTreeSet<i32>,
}

impl Crowd {
    fn add(&mut self, source: &Source<'_>, days: &BTreeSet<i32>) {
        self.sources += 1;
        self.mails += source.counts.mail_accepted;
        self.days.extend(days);
    }
}

impl Judge<'_> {
    /// What the evidence suggests for the policy; `judgement` is this judge's own.
    pub fn suggest(&self, judgement: &Judgement) -> Suggestions {
        let assets = self.world.assets().iter();
        let without = judgement.targets.iter().filter(|target| target.coverage.mail.is_empty());
        let without: BTreeSet<&String> = without.map(|target| &target.asset.key).collect();
        let like_mx = judgement.targets.iter().filter(|target| target.looks_like_mx());
        let like_mx: BTreeSet<&String> = like_mx.map(|target| &target.asset.key).collect();
        Suggestions {
            assets: assets.filter_map(|asset| self.suggest_for(&asset.targets, &like_mx)).collect(),
            unmatched: judgement.unmatched.clone(),
            without_mail_log: without.into_iter().cloned().collect(),
        }
    }

    /// What the targets of one asset suggest together; `like_mx` are the keys of assets of which a
    /// ticket says that they look like an MX.
    fn suggest_for(
        &self,
        places: &[usize],
        like_mx: &BTreeSet<&String>,
    ) -> Option<AssetSuggestion> {
        let scenes: Vec<Scene> = places.iter().filter_map(|&place| self.scene(place)).collect();
        let asset = scenes.first()?.asset.facts.clone();
        let habits: Vec<Habits> = scenes.iter().map(|scene| self.habits(scene)).collect();
        let role = match asset.role {
            AssetRole::None => {
                scenes.iter().zip(&habits).find_map(|(scene, habits)| role(scene, habits))
            }
            _ => None,
        };
        let mut regulars: Vec<Regular> =
            habits.into_iter().flat_map(|found| found.regulars).collect();
        regulars.retain(|regular| match role.map(|role| role.role) {
            // The role says of these already that they are expected.
            Some(AssetRole::Internal) => !regular.is_internal,
            Some(AssetRole::Mx | AssetRole::Submission) => regular.is_internal,
            _ => true,
        });
        regulars.sort_by_key(|regular| (!regular.is_internal, regular.ip, regular.port));
        let looks_like_mx = like_mx.contains(&asset.key);
        let says_something = role.is_some() || looks_like_mx || !regulars.is_empty();
        says_something.then_some(AssetSuggestion { asset, role, looks_like_mx, regulars })
    }

    fn habits(&self, scene: &Scene) -> Habits {
        let mut habits = Habits::default();
        let covered_days = days_of(&scene.covered.facts.mail);
        for address in self.addresses(scene.servers) {
            let Some(source) = scene.source(address) else { continue };
            if source.counts.mail_accepted == 0 && source.counts.auth_ok == 0 {
                continue;
            }
            let days = self.mail_days(scene.servers, address);
            match source.class {
                Class::Internal => habits.internal.add(&source, &days),
                _ if source.counts.auth_ok > 0 => habits.authenticate.add(&source, &days),
                _ if source.counts.relayed == 0 => habits.deliver.add(&source, &days),
                _ => habits.relay += 1,
            }
            let regular = regular(scene, address, &source, (&days, covered_days));
            habits.regulars.extend(regular);
        }
        habits
    }

    /// The UTC days, since 1970, on which mail of a source was accepted.
    fn mail_days(&self, servers: &[u32], source: Address) -> BTreeSet<i32> {
        let cells = servers.iter().filter_map(|&server| self.evidence.cell(Key { server, source }));
        let days = cells.flat_map(|cell| cell.days(self.evidence.join()));
        let with_mail = days.filter(|(day, piece)| {
            *day != NO_DAY && piece.sessions.iter().any(|(kind, _)| kind.outcome >= Outcome::Queued)
        });
        with_mail.map(|(day, _)| day).collect()
    }
}

/// The source, if it delivers day after day and relays nothing.
fn regular(
    scene: &Scene<'_>,
    address: Address,
    source: &Source<'_>,
    (days, covered_days): (&BTreeSet<i32>, u32),
) -> Option<Regular> {
    let days = days.len() as u32;
    let is_daily = days >= FEWEST_DAYS && days * 7 >= covered_days * DAYS_OF_SEVEN;
    if !is_daily || source.counts.relayed > 0 {
        return None;
    }
    let (_, traces) = scene.shown_source(address)?;
    Some(Regular {
        ip: ip_of(address),
        is_internal: source.class == Class::Internal,
        port: scene.target.port,
        days,
        covered_days: covered_days.max(days),
        mails: source.counts.mail_accepted,
        sessions: source.counts.sessions,
        first_seen: source.sum.first,
        last_seen: source.sum.last,
        helo_names: traces.helo_names.into_iter().map(|(_, name)| name).collect(),
    })
}

/// What a target looks like by what its sources do.
fn role(scene: &Scene, habits: &Habits) -> Option<RoleSuggestion> {
    let Habits { deliver, authenticate, internal, relay, .. } = habits;
    let strangers = deliver.sources + authenticate.sources + relay;
    let (role, crowd, others) = match scene.target.port {
        25 if deliver.sources >= FEWEST_SOURCES => {
            (AssetRole::Mx, deliver, strangers - deliver.sources)
        }
        465 | 587 if authenticate.sources >= FEWEST_SOURCES => {
            (AssetRole::Submission, authenticate, strangers - authenticate.sources)
        }
        _ if internal.sources >= FEWEST_SOURCES => (AssetRole::Internal, internal, strangers),
        _ => return None,
    };
    let days = crowd.days.len() as u32;
    let is_clear = crowd.sources >= others * FOR_EACH_OTHER;
    // Of internal clients no stranger is expected, so that one is one too many.
    let is_alone = role != AssetRole::Internal || others == 0;
    (is_clear && is_alone && days >= FEWEST_DAYS).then(|| RoleSuggestion {
        role,
        port: scene.target.port,
        sources: crowd.sources,
        others,
        mails: crowd.mails,
        days,
        covered_days: days_of(&scene.covered.facts.mail).max(days),
    })
}

/// How many UTC days disjoint, ascending spans touch.
fn days_of(spans: &[Span]) -> u32 {
    let (mut days, mut counted) = (0, i64::MIN);
    for span in spans {
        let (first, last) = (i64::from(span.first.day()), i64::from(span.last.day()));
        days += last - first.max(counted.saturating_add(1)) + 1;
        counted = last;
    }
    u32::try_from(days).unwrap_or(u32::MAX)
}
