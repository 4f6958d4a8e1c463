//! Correlation and judgement against an oracle: the same answers, found naively. In: random small
//! cases of hosts, policies, flows and sessions. Out: a failure that names the case's seed.
//!
//! The oracle (`naive`, `scene`) was written from the design's words: for each target and each source it
//! looks at every event again, and shares no code with `correlate` and `judge`.

mod make;
mod naive;
mod scene;

use helotriage::correlate::{Correlator, Evidence, Interest, World};
use helotriage::judge::Judge;
use helotriage::model::judged::{JudgedSource, JudgedTarget, Judgement};

use make::{Made, shows_helo};
use naive::{NaiveSource, NaiveTarget};

/// How many random cases are tried.
const CASES: u64 = 10_000;

/// Reads the events of a case that belong to one of `parts` of three.
fn read(made: &Made, world: &World, parts: &[usize]) -> Evidence {
    let interest = Interest::new(world, &made.policy);
    let mut correlator = Correlator::new(interest, made.policy.correlation.tolerance_seconds);
    let mine = |index: usize| parts.contains(&(index % 3));
    for (_, flow) in made.flows.iter().enumerate().filter(|(index, _)| mine(*index)) {
        correlator.flow(flow);
    }
    for (_, made) in made.sessions.iter().enumerate().filter(|(index, _)| mine(*index)) {
        correlator.session(&made.session.view(), made.format);
    }
    correlator.finish()
}

/// What is compared of a source.
fn seen(source: &JudgedSource) -> NaiveSource {
    NaiveSource {
        ip: source.ip,
        class: source.class,
        rule: source.rule,
        step_down: source.step_down,
        counts: source.counts,
        first: source.first_seen,
        last: source.last_seen,
        helo_names: source.helo_names.iter().map(ToString::to_string).collect(),
        sasl_names: source.sasl_usernames.iter().map(ToString::to_string).collect(),
        cited: source.citations.iter().map(|line| (line.kind, line.time, line.at)).collect(),
    }
}

/// What is compared of a target's sources, in their order.
fn sources_of(judge: &Judge<'_>, target: &JudgedTarget) -> Vec<NaiveSource> {
    let facts_of = judge.sources_of(target);
    target.sources.iter().map(|&source| seen(&facts_of(source).unwrap())).collect()
}

/// What is compared of all targets, in their order.
fn compared(judge: &Judge<'_>, judgement: &Judgement) -> Vec<NaiveTarget> {
    let targets = judgement.targets.iter().map(|target| NaiveTarget {
        key: target.asset.key.clone(),
        port: target.port,
        verdict: target.verdict,
        rule: target.rule,
        priority: target.priority,
        score: target.score,
        confidence: target.confidence,
        due_days: target.due_days,
        external: target.external_sources,
        counts: target.counts,
        first: target.first_seen,
        last: target.last_seen,
        helo_names: target.helo_names.iter().map(ToString::to_string).collect(),
        sources: sources_of(judge, target),
    });
    targets.collect()
}

#[test]
fn correlation_equals_the_oracle() {
    let mut seen = std::collections::BTreeMap::new();
    for seed in 0..CASES {
        let made = make::case(seed);
        let world = World::new(&made.hosts, &made.policy);
        let evidence = read(&made, &world, &[0, 1, 2]);
        let judge = Judge::with_formats(
            &world,
            &made.policy,
            &evidence,
            &made.reports,
            &made.devices,
            shows_helo,
        );
        let judgement = judge.judge();
        let expected = naive::targets(&made);
        let got = compared(&judge, &judgement);
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!(got, expected, "seed {seed}");
            *seen.entry(format!("{:?}", got.verdict)).or_insert(0) += 1;
            *seen.entry(format!("{:?}", got.rule)).or_insert(0) += 1;
            for source in &got.sources {
                *seen.entry(format!("{:?}", source.step_down)).or_insert(0) += 1;
            }
        }
        assert_eq!(got.len(), expected.len(), "seed {seed}");
    }
    // Seven verdicts, nine rules, three steps and none: the cases reach every one of them.
    assert_eq!(seen.len(), 7 + 9 + 4, "{seen:?}");
}

#[test]
fn evidence_of_parts_merges_to_that_of_the_whole() {
    for seed in 0..CASES / 10 {
        let made = make::case(seed);
        let world = World::new(&made.hosts, &made.policy);
        let whole = read(&made, &world, &[0, 1, 2]);
        let [a, b, c] = [0, 1, 2].map(|part| read(&made, &world, &[part]));
        let merge = |mut one: Evidence, other: &Evidence| {
            one.merge(other.clone());
            one
        };
        let left = merge(merge(a.clone(), &b), &c);
        let right = merge(a.clone(), &merge(b.clone(), &c));
        let back = merge(c, &merge(b, &a));
        for merged in [left, right, back] {
            assert_eq!(merged.rows(), whole.rows(), "seed {seed}");
            assert_eq!(merged.devices(), whole.devices(), "seed {seed}");
            assert_eq!(merged.named_ends(), whole.named_ends(), "seed {seed}");
            let sorted = |evidence: &Evidence| {
                let mut servers = evidence.servers().to_vec();
                servers.sort_by(|(a, _), (b, _)| a.cmp(b));
                servers
            };
            assert_eq!(sorted(&merged), sorted(&whole), "seed {seed}");
        }
    }
}
