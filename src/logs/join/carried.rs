//! What firewall records may still be paired with, from one run to the next. In: the joiner's
//! entries. Out: a plain value that is written and read with serde, devices by name, the oldest
//! entries first; and the same joiner again.

use serde::{Deserialize, Serialize};

use super::{BuiltEnds, Joiner, Recent, Seen};
use crate::model::flow::Action;
use crate::model::input::Devices;
use crate::model::time::Timestamp;

/// The entries of a joiner. Their first number is an index into the names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedPairs {
    devices: Vec<Box<str>>,
    /// Device, key, hashes of the client and of the server.
    built: Vec<(u32, u64, u64, u64)>,
    /// Device, key, action, microseconds, seconds within which it counts as told.
    once: Vec<(u32, u64, Action, i64, u32)>,
}

impl CarriedPairs {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.built.is_empty() && self.once.is_empty()
    }
}

impl Joiner {
    /// What may still be paired. `devices` names the firewalls.
    pub fn carried(&self, devices: &Devices) -> CarriedPairs {
        let mut names: Vec<Box<str>> = devices.names().map(Into::into).collect();
        let built = self.built.entries();
        let built: Vec<_> =
            built.map(|((device, key), ends)| (device, key, ends.client, ends.server)).collect();
        let once = self.once.entries();
        let once: Vec<_> = once
            .map(|((device, key, action), seen)| (device, key, action, seen.time.0, seen.within))
            .collect();
        if built.is_empty() && once.is_empty() {
            names.clear();
        }
        CarriedPairs { devices: names, built, once }
    }

    /// A joiner that goes on where an earlier run ended.
    pub fn restored(carried: CarriedPairs, devices: &mut Devices) -> Self {
        let numbers: Vec<u32> = carried.devices.iter().map(|name| devices.index_of(name)).collect();
        let number = |device: u32| numbers.get(device as usize).copied();
        let mut joiner = Self::default();
        for (device, key, client, server) in carried.built {
            if let Some(device) = number(device) {
                joiner.built.insert((device, key), BuiltEnds { client, server });
            }
        }
        for (device, key, action, time, within) in carried.once {
            if let Some(device) = number(device) {
                let seen = Seen { time: Timestamp(time), within };
                joiner.once.insert((device, key, action), seen);
            }
        }
        joiner
    }
}

impl<K: Copy + Eq + std::hash::Hash, V: Copy> Recent<K, V> {
    /// The entries, the oldest first.
    fn entries(&self) -> impl Iterator<Item = (K, V)> {
        self.order.iter().filter_map(|(turn, key)| {
            let (last, value) = self.entries.get(key)?;
            (last == turn).then_some((*key, *value))
        })
    }
}
