//! Which servers' events become evidence. In: scanned hosts, policy, ports of findings. Out: a
//! test on an address and a port.
//!
//! Evidence is kept for scanned hosts, policy assets and internal addresses, on the usual SMTP
//! ports and every port of a finding; of mail servers, whose logs are the user's own choice, for
//! all. Everything else, such as the outgoing mail that a firewall log is full of, is dropped.

use std::collections::HashSet;
use std::net::IpAddr;

use ahash::RandomState;

use crate::correlate::world::World;
use crate::model::net::{Endpoint, NetSet};
use crate::model::policy::{AssetMatch, Networks, Policy};

/// The ports that are kept even without a finding.
pub const SMTP_PORTS: [u16; 4] = [25, 465, 587, 2525];

/// What evidence is kept for.
#[derive(Debug, Clone)]
pub struct Interest {
    ports: Vec<u16>,
    addresses: HashSet<IpAddr, RandomState>,
    assets: NetSet,
    networks: Networks,
}

impl Interest {
    /// What matters to a scan under a policy.
    pub fn new(world: &World, policy: &Policy) -> Self {
        let mut ports: Vec<u16> = SMTP_PORTS.to_vec();
        ports.extend(world.targets().iter().map(|target| target.port));
        ports.sort_unstable();
        ports.dedup();
        let assets = policy.assets.iter().flat_map(|asset| &asset.matches);
        let assets = assets.filter_map(|m| match m {
            AssetMatch::Network(net) => Some(*net),
            AssetMatch::Name(_) => None,
        });
        let named = policy.assets.iter().flat_map(|asset| &asset.addresses).copied();
        let scanned = world.assets().iter().flat_map(|asset| &asset.facts.addresses).copied();
        Self {
            ports,
            addresses: scanned.chain(named).collect(),
            assets: NetSet::new(assets.collect()),
            networks: policy.networks.clone(),
        }
    }

    /// The ports, ascending: the needles of the log scan.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Whether evidence is kept for this port.
    pub fn has_port(&self, port: u16) -> bool {
        self.ports.binary_search(&port).is_ok()
    }

    /// Whether evidence is kept for this end of a flow (canonical address).
    pub fn has(&self, end: Endpoint) -> bool {
        self.has_port(end.port)
            && (self.addresses.contains(&end.ip)
                || self.networks.is_internal(end.ip)
                || self.assets.contains(end.ip))
    }
}
