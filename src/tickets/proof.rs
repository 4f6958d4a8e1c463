//! What resolves a ticket, in words. In: the proof that a run found, the run's inputs. Out: lines
//! for `verification`, the cited places for `evidence`.

use crate::model::input::InputReport;
use crate::model::judged::{CitedLine, JudgedTarget, Proof};
use crate::tickets::place::Place;
use crate::tickets::words;

/// The lines about a target whose ticket is resolved; none about others.
pub(super) fn lines(target: &JudgedTarget, inputs: &[InputReport]) -> Vec<String> {
    let Some(proof) = &target.proof else { return Vec::new() };
    let scan = match words::quotable(&proof.scan, 80) {
        empty if empty.is_empty() => String::new(),
        name => format!(" \"{name}\""),
    };
    let last = proof.last_open.map(|time| format!(" It was last seen open on {time}."));
    vec![
        format!(
            "Retested: the scan{scan} of the host, which ended {}, could have reported the \
             finding and did not.{}",
            proof.ended,
            last.unwrap_or_default()
        ),
        denials(target, proof, inputs),
        silence(target, proof),
    ]
}

fn denials(target: &JudgedTarget, proof: &Proof, inputs: &[InputReport]) -> String {
    let port = target.port;
    let shown = |line: CitedLine| {
        let time = line.time.map(|time| time.to_string()).unwrap_or_default();
        let place = Place::of(line.at, inputs).map(|place| place.to_string());
        let place = place.map(|place| format!(" ({})", words::quotable(&place, 200)));
        format!("{time}{}", place.unwrap_or_default())
    };
    match proof.denied {
        Some((first, last)) if first == last => {
            format!("Firewall: denied on port {port} since {}.", shown(first))
        }
        Some((first, last)) => format!(
            "Firewall: denied on port {port} since {}; last known {}.",
            shown(first),
            shown(last)
        ),
        None => format!(
            "Firewall: no denial of an unexpected source on port {port} since then in the logs that \
             were read."
        ),
    }
}

/// How much it is worth that nothing was seen since the scan.
fn silence(target: &JudgedTarget, proof: &Proof) -> String {
    match target.coverage.newest().filter(|newest| *newest > proof.ended) {
        Some(newest) => format!(
            "Logs: no unexpected source reached it after the scan; they cover it until {newest}."
        ),
        None => "Logs: none that was read covers it after the scan.".to_owned(),
    }
}

/// The cited lines.
pub(super) fn places(target: &JudgedTarget, inputs: &[InputReport]) -> Vec<Place> {
    let denied = target.proof.as_ref().and_then(|proof| proof.denied);
    let lines = denied.into_iter().flat_map(|(first, last)| [first, last]);
    let mut places: Vec<Place> = lines.filter_map(|line| Place::of(line.at, inputs)).collect();
    places.dedup();
    places
}
