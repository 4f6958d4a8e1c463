//! What the logs say of sources on servers, held so that parts of the logs can be read anywhere
//! and in any order. In: events, or evidence of another part. Out: one [`Piece`] for each logged
//! server's port, source and UTC day.
//!
//! Merging is associative and commutative. The table is cut into shards, so that growing copies a
//! small part of it at a time; its hash is keyed, as addresses are the attackers' choice. Whatever
//! leaves it is sorted first.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};

use ahash::RandomState;

use crate::correlate::cell::Cell;
use crate::correlate::note::LONGEST;
use crate::correlate::piece::Piece;
use crate::correlate::server::{LoggedServer, ServerFacts};
use crate::model::session::SessionView;
use crate::model::time::SECOND;

/// How many tables the evidence is spread over.
const SHARDS: usize = 256;

/// Bytes of notes that wait for their table: added together, they find it in the cache, and one table
/// in 256 fits there even with a million sources.
const WAITING: usize = 4096;

/// Room that nearly every note finds enough, with its key.
const A_NOTE: usize = 96;

/// An address, IPv4 as IPv4-mapped IPv6: sorts IPv4 before most of IPv6, and by value.
pub type Address = [u8; 16];

/// The form in which sources are kept.
pub fn address_of(ip: IpAddr) -> Address {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The canonical address of a source.
pub fn ip_of(address: Address) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(address)).to_canonical()
}

/// The key of a cell: 20 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Index of the logged server.
    pub server: u32,
    /// The source.
    pub source: Address,
}

/// The evidence of a set of logs.
#[derive(Debug, Clone)]
pub struct Evidence {
    join: i64,
    servers: Vec<(LoggedServer, ServerFacts)>,
    numbers: HashMap<LoggedServer, u32, RandomState>,
    shards: Vec<HashMap<Key, Cell, RandomState>>,
    /// Two odd numbers, drawn anew for each run, that spread keys over the shards.
    spread: (u64, u64),
    /// Which inputs hold records of which firewall, ascending.
    devices: Vec<(u32, u32)>,
    /// Flow ends that are names where an address is needed, and how many records have them.
    named_ends: BTreeMap<Box<str>, u64>,
}

impl Evidence {
    /// No evidence yet. `tolerance_seconds` is how far a permitted flow may lie from the session
    /// that it corroborates.
    pub fn new(tolerance_seconds: i64) -> Self {
        let hasher = RandomState::new();
        let shard = || HashMap::with_hasher(hasher.clone());
        Self {
            join: tolerance_seconds.clamp(0, i64::MAX / SECOND / 4) * SECOND * 2,
            servers: Vec::new(),
            numbers: HashMap::with_hasher(hasher.clone()),
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            spread: (hasher.hash_one(1u8) | 1, hasher.hash_one(2u8) | 1),
            devices: Vec::new(),
            named_ends: BTreeMap::new(),
        }
    }

    /// The tolerance in microseconds.
    pub fn tolerance(&self) -> i64 {
        self.join / 2
    }

    /// The gap up to which permitted flows are one interval, in microseconds.
    pub fn join(&self) -> i64 {
        self.join
    }

    /// The logged servers and what is known of them whoever the client was; a server's number is
    /// its place.
    pub fn servers(&self) -> &[(LoggedServer, ServerFacts)] {
        &self.servers
    }

    /// The number of a server, if there is evidence of it.
    pub fn number(&self, server: &LoggedServer) -> Option<u32> {
        self.numbers.get(server).copied()
    }

    /// Which inputs hold records of which firewall: (device, input), ascending.
    pub fn devices(&self) -> &[(u32, u32)] {
        &self.devices
    }

    /// Flow ends that are names where an address is needed, with the number of their records.
    pub fn named_ends(&self) -> &BTreeMap<Box<str>, u64> {
        &self.named_ends
    }

    /// The evidence of one source on one server's port.
    pub fn cell(&self, key: Key) -> Option<&Cell> {
        self.shards.get(self.shard_of(&key))?.get(&key)
    }

    /// All keys, ascending: 20 bytes each.
    pub fn sorted_keys(&self) -> Vec<Key> {
        let mut keys = Vec::with_capacity(self.len());
        keys.extend(self.shards.iter().flat_map(HashMap::keys));
        keys.sort_unstable();
        keys
    }

    /// How many (server's port, source) pairs there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(HashMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything, in an order and a form that depend on the events alone.
    pub fn rows(&self) -> BTreeMap<(&LoggedServer, Address, i32), Piece> {
        let rows = self.sorted_keys().into_iter().filter_map(|key| {
            let (server, _) = self.servers.get(key.server as usize)?;
            let days = self.cell(key)?.days(self.join);
            Some(days.into_iter().map(move |(day, piece)| ((server, key.source, day), piece)))
        });
        rows.flatten().collect()
    }

    /// Adds the evidence of another part of the logs, read with the same tolerance.
    pub fn merge(&mut self, other: Self) {
        let mut numbers = Vec::with_capacity(other.servers.len());
        for (server, facts) in other.servers {
            let number = self.number_of(server);
            self.facts_mut(number, |known| known.merge(&facts));
            numbers.push(number);
        }
        for (key, cell) in other.shards.into_iter().flatten() {
            if let Some(&server) = numbers.get(key.server as usize) {
                self.put_cell(Key { server, ..key }, cell);
            }
        }
        for (device, input) in other.devices {
            self.add_device(device, input);
        }
        for (name, count) in other.named_ends {
            self.add_named_end(name, count);
        }
    }

    /// Forgets what happened before a UTC day; what has no time stays.
    pub fn drop_days_before(&mut self, day: i32) {
        for shard in &mut self.shards {
            shard.retain(|_, cell| cell.drop_days_before(day));
        }
    }

    /// The number of a server, which is added where it is new.
    pub(crate) fn number_of(&mut self, server: LoggedServer) -> u32 {
        if let Some(&number) = self.numbers.get(&server) {
            return number;
        }
        let number = self.servers.len() as u32;
        self.servers.push((server.clone(), ServerFacts::default()));
        self.numbers.insert(server, number);
        number
    }

    /// Changes what is known of a server.
    pub(crate) fn facts_mut(&mut self, number: u32, change: impl FnOnce(&mut ServerFacts)) {
        if let Some((_, facts)) = self.servers.get_mut(number as usize) {
            change(facts);
        }
    }

    /// Adds the piece of a day.
    pub(crate) fn put_piece(&mut self, key: Key, day: i32, piece: Piece) {
        let (shard, join) = (self.shard_of(&key), self.join);
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.entry(key).or_default().add_piece(day, piece, join);
        }
    }

    /// Adds notes of one shard, and leaves none; tells the keys of those whose cell has pieces.
    fn put_all(&mut self, shard: usize, waiting: &mut Vec<u8>, mut has_pieces: impl FnMut(Key)) {
        let Some(shard) = self.shards.get_mut(shard) else { return };
        let mut rest = waiting.as_slice();
        while let Some((key, notes, behind)) = next_waiting(rest) {
            let cell = shard.entry(key).or_default();
            cell.add_notes(notes, self.join);
            if cell.has_pieces() {
                has_pieces(key);
            }
            rest = behind;
        }
        waiting.clear();
    }

    /// Adds a session at once, where that takes no more than adding to a piece that is there; whether
    /// it was.
    fn add_to_piece(&mut self, shard: usize, key: Key, session: &SessionView<'_>) -> bool {
        let cell = self.shards.get_mut(shard).and_then(|shard| shard.get_mut(&key));
        cell.is_some_and(|cell| cell.add_to_last_day(session))
    }

    pub(crate) fn add_device(&mut self, device: u32, input: u32) {
        if let Err(at) = self.devices.binary_search(&(device, input)) {
            self.devices.insert(at, (device, input));
        }
    }

    pub(crate) fn add_named_end(&mut self, name: Box<str>, count: u64) {
        *self.named_ends.entry(name).or_default() += count;
    }

    fn put_cell(&mut self, key: Key, cell: Cell) {
        use std::collections::hash_map::Entry;
        let (at, join) = (self.shard_of(&key), self.join);
        if let Some(shard) = self.shards.get_mut(at) {
            match shard.entry(key) {
                Entry::Occupied(mut known) => known.get_mut().merge(cell, join),
                Entry::Vacant(free) => {
                    free.insert(cell);
                }
            }
        }
    }

    /// Another hash than that of the table inside, in which all keys of a shard would crowd
    /// together. Whoever could guess it would only make one table the fullest.
    pub(crate) fn shard_of(&self, key: &Key) -> usize {
        shard_place(hash_of(self.spread, key))
    }
}

/// The table of a hash: one of [`SHARDS`].
fn shard_place(hash: u64) -> usize {
    (hash >> 56) as usize
}

fn hash_of(spread: (u64, u64), key: &Key) -> u64 {
    let bits = u128::from_le_bytes(key.source);
    let low = (bits as u64 ^ u64::from(key.server)).wrapping_mul(spread.0);
    let high = ((bits >> 64) as u64).wrapping_mul(spread.1);
    (low ^ high.rotate_left(32)).wrapping_mul(spread.1)
}

/// Notes on their way into evidence.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// For each shard keys, lengths and notes in turn.
    notes: Vec<Vec<u8>>,
    /// Hashes of keys whose cells were seen to have pieces, each in the place that it tells: a few
    /// sources bring most sessions, and theirs need not wait.
    dense: Box<[u64]>,
}

/// Sources whose sessions need not wait.
const DENSE: usize = 1024;

impl Default for Waiting {
    fn default() -> Self {
        let notes = std::iter::repeat_with(Vec::new).take(SHARDS).collect();
        Self { notes, dense: vec![0; DENSE].into() }
    }
}

impl Waiting {
    /// Adds a session at once, if its source is one of those that bring most; whether it was.
    pub(crate) fn pass(
        &self,
        evidence: &mut Evidence,
        key: Key,
        session: &SessionView<'_>,
    ) -> bool {
        let hash = hash_of(evidence.spread, &key);
        self.dense.get(dense_place(hash)) == Some(&hash)
            && evidence.add_to_piece(shard_place(hash), key, session)
    }

    /// Takes a note that `write` writes, unless it cannot, and tells whether it did; when enough wait
    /// for the same table, they are added to it.
    pub(crate) fn put(
        &mut self,
        evidence: &mut Evidence,
        key: Key,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> bool {
        let shard = evidence.shard_of(&key);
        let Some(waiting) = self.notes.get_mut(shard) else { return false };
        if waiting.capacity() == 0 {
            waiting.reserve_exact(WAITING);
        }
        let before = waiting.len();
        waiting.extend_from_slice(&key.server.to_le_bytes());
        waiting.extend_from_slice(&key.source);
        let at = waiting.len();
        waiting.extend_from_slice(&[0; 2]);
        if !write(waiting) {
            waiting.truncate(before);
            return false;
        }
        let length = waiting.len().saturating_sub(at + 2).min(LONGEST) as u16;
        if let Some(place) = waiting.get_mut(at..at + 2) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        if waiting.len() + A_NOTE > WAITING {
            self.settle_shard(evidence, shard);
        }
        true
    }

    /// Whether there is a source whose sessions need not wait.
    #[cfg(test)]
    pub(crate) fn has_dense(&self) -> bool {
        self.dense.iter().any(|hash| *hash != 0)
    }

    /// Adds all that still wait.
    pub(crate) fn settle(&mut self, evidence: &mut Evidence) {
        for shard in 0..SHARDS {
            self.settle_shard(evidence, shard);
        }
    }

    fn settle_shard(&mut self, evidence: &mut Evidence, shard: usize) {
        let Some(waiting) = self.notes.get_mut(shard) else { return };
        let mut notes = std::mem::take(waiting);
        let (dense, spread) = (&mut self.dense, evidence.spread);
        evidence.put_all(shard, &mut notes, |key| {
            let hash = hash_of(spread, &key);
            if let Some(place) = dense.get_mut(dense_place(hash)) {
                *place = hash;
            }
        });
        *waiting = notes;
    }
}

/// The place of a hash among those of dense sources; the highest bits are those of the shard.
fn dense_place(hash: u64) -> usize {
    (hash >> 40) as usize % DENSE
}

/// The first of the notes that wait, its key, and what is behind it.
fn next_waiting(waiting: &[u8]) -> Option<(Key, &[u8], &[u8])> {
    let (server, rest) = waiting.split_first_chunk()?;
    let (source, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (note, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let key = Key { server: u32::from_le_bytes(*server), source: *source };
    Some((key, note, rest))
}
