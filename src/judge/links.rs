//! Which logged servers mean which target. In: the world and the evidence's servers. Out: their
//! numbers by target, and the sessions that belong to no target, by server.

use std::collections::BTreeMap;

use crate::correlate::evidence::Evidence;
use crate::correlate::server::LoggedServer;
use crate::correlate::world::{Matched, World};
use crate::model::judged::{Unmatched, UnmatchedServer};

/// The servers of all targets.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Numbers of the logged servers of each target, ascending.
    pub(super) by_target: Vec<Vec<u32>>,
    /// Sessions without a target.
    pub(super) unmatched: Vec<UnmatchedServer>,
    /// Places in `unmatched` by the key of an asset that the server may be.
    pub(super) lost: BTreeMap<String, Vec<usize>>,
}

impl Links {
    pub(super) fn new(world: &World, evidence: &Evidence) -> Self {
        let mut by_target = vec![Vec::new(); world.targets().len()];
        let mut unmatched: BTreeMap<(String, Option<u16>, Unmatched), UnmatchedServer> =
            BTreeMap::new();
        for (number, (server, facts)) in evidence.servers().iter().enumerate() {
            match world.matched(server) {
                Matched::Targets(targets) => {
                    for target in targets {
                        if let Some(servers) = by_target.get_mut(target) {
                            servers.push(number as u32);
                        }
                    }
                }
                Matched::None(why, candidates) => {
                    let LoggedServer::Mail { name, ip, port } = server else { continue };
                    let shown = match ip {
                        Some(ip) if name.is_empty() => ip.to_string(),
                        _ => name.to_string(),
                    };
                    let fresh = || UnmatchedServer {
                        server: shown.clone(),
                        port: *port,
                        why,
                        sessions: 0,
                        candidates: keys_of(world, &candidates),
                    };
                    let entry = unmatched.entry((shown.clone(), *port, why));
                    entry.or_insert_with(fresh).sessions += facts.sessions;
                }
            }
        }
        let unmatched: Vec<UnmatchedServer> = unmatched.into_values().collect();
        let mut lost: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, server) in unmatched.iter().enumerate() {
            for key in &server.candidates {
                lost.entry(key.clone()).or_default().push(place);
            }
        }
        Self { by_target, unmatched, lost }
    }
}

/// The keys of assets, sorted.
pub(super) fn keys_of(world: &World, places: &[usize]) -> Vec<String> {
    let assets = places.iter().filter_map(|&place| world.assets().get(place));
    let mut keys: Vec<String> = assets.map(|asset| asset.facts.key.clone()).collect();
    keys.sort_unstable();
    keys
}
