//! What is open when the logs end, from one run to the next: a session that a night cuts goes on in
//! the next, and a delivery days later raises the session that brought the message. In: the
//! assembler's state. Out: a plain value for the state file.
//!
//! Formats are written by name and servers by theirs; lines hold the numbers of inputs, which the
//! state exchanges for those of its contents.

use ahash::AHashMap;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::seen::{Seen, ToldBy};
use super::server::{CarriedServer, ServerSessions};
use super::{Assembler, Keep, Limits};

/// The open sessions and messages of all servers, and which sessions were told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CarriedSessions {
    /// By the name in the log, in the order in which the servers were met.
    servers: Vec<(Name, CarriedServer)>,
    /// Not part of the value that serde writes: [`Self::take_told`].
    #[serde(skip)]
    told: Vec<ToldBy>,
}

/// A server's name as the bytes of its log, written as a text of one letter a byte.
#[derive(Debug, Clone)]
struct Name(Box<[u8]>);

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0.iter().map(|byte| char::from(*byte)).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
        bytes.map(|bytes| Self(bytes.into())).map_err(D::Error::custom)
    }
}

impl CarriedSessions {
    /// Gives the inputs of all lines other numbers; what an input without a number told is
    /// forgotten.
    pub fn renumber(&mut self, number: &dyn Fn(u32) -> Option<u32>) {
        for (_, server) in &mut self.servers {
            server.renumber(number);
        }
        self.told.retain_mut(|told| {
            number(told.input).is_some_and(|number| {
                told.input = number;
                true
            })
        });
    }

    /// Takes out which sessions were told by which input: many numbers, best kept as such.
    pub fn take_told(&mut self) -> Vec<ToldBy> {
        std::mem::take(&mut self.told)
    }

    /// Puts them back.
    pub fn put_told(&mut self, told: Vec<ToldBy>) {
        self.told = told;
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.told.is_empty()
    }
}

impl Assembler {
    /// What is open now.
    pub fn carried(&self) -> CarriedSessions {
        let mut names: Vec<(usize, &[u8])> =
            self.by_name.iter().map(|(name, index)| (*index, &**name)).collect();
        names.sort_unstable();
        let servers = names.into_iter().zip(&self.servers);
        CarriedSessions {
            servers: servers
                .map(|((_, name), server)| (Name(name.into()), server.carried()))
                .filter(|(_, server)| !server.is_empty())
                .collect(),
            told: self.seen.told(),
        }
    }

    /// An assembler that goes on where an earlier run ended.
    pub fn restored(keep: Keep, limits: Limits, carried: CarriedSessions) -> Self {
        let mut by_name = AHashMap::new();
        let mut servers = Vec::new();
        for (name, server) in carried.servers {
            by_name.insert(name.0, servers.len());
            servers.push(ServerSessions::restored(server));
        }
        let seen = Seen::of(carried.told);
        Self { servers, by_name, seen, ..Self::new(keep, limits) }
    }
}
