//! What holds over any nights: every ticket of the state that is not resolved stands in tickets.csv,
//! a resolved one once, whatever scans hold, logs tell and the policy makes of the hosts.

use std::collections::BTreeSet;

use helotriage::state::View;
use helotriage::tickets::Status;
use proptest::prelude::*;

use crate::life::{Nights, scan};

const HOSTS: [&str; 3] = ["203.0.113.25", "203.0.113.26", "203.0.113.27"];

const PORTS: [&[u16]; 4] = [&[], &[25], &[587], &[25, 587]];

const POLICIES: [&str; 4] = [
    "",
    "[[asset]]\nid = \"mx\"\nmatch = [\"203.0.113.25\", \"203.0.113.26\"]\n",
    "[[asset]]\nid = \"mx\"\nmatch = [\"203.0.113.25\"]\n[[asset]]\nid = \"other\"\n\
     match = [\"203.0.113.26\", \"203.0.113.27\"]\n",
    "[networks]\ntrusted = [\"198.51.100.7\"]\n",
];

/// For each host whether it is scanned, and with which of the ports; the policy; the firewall's word
/// for the connection of the day.
type Night = ([Option<usize>; 3], usize, bool);

fn night() -> impl Strategy<Value = Night> {
    let host = || prop::option::weighted(0.8, 0..PORTS.len());
    ([host(), host(), host()], 0..POLICIES.len(), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_not_resolved_is_told_and_what_is_resolved_is_told_once(
        plan in prop::collection::vec(night(), 2..6),
    ) {
        let mut nights = Nights::new();
        let mut resolved_before: BTreeSet<String> = BTreeSet::new();
        for (day, (hosts, policy, is_let_in)) in (3u32..).zip(plan) {
            nights.policy = POLICIES[policy];
            nights.connect(day - 1, if is_let_in { "ALLOW" } else { "BLOCK" });
            let scanned = HOSTS.into_iter().zip(hosts);
            let mut scanned: Vec<(&str, &[u16])> =
                scanned.filter_map(|(host, ports)| Some((host, PORTS[ports?]))).collect();
            // An export without a host is none.
            scanned.push(("203.0.113.99", &[]));
            let tickets = nights.run(&scan(day, &scanned));
            let told = |resolved: bool| -> BTreeSet<String> {
                let ids = tickets.iter().filter(|(_, t)| (t["status"] == "resolved") == resolved);
                ids.map(|(id, _)| id.clone()).collect()
            };
            let view = View::open(&nights.folder().join("state.db")).unwrap();
            let known = view.tickets().unwrap();
            let open: BTreeSet<String> = known
                .iter()
                .filter(|ticket| ticket.status != Status::Resolved)
                .map(|ticket| ticket.id.clone())
                .collect();
            prop_assert_eq!(&told(false), &open);
            let resolved = told(true);
            prop_assert!(resolved.is_disjoint(&resolved_before), "{:?} again", resolved);
            resolved_before = resolved;
        }
    }
}
