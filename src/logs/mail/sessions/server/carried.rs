//! A mail server's open sessions and messages from one run to the next. In: the sessions as they
//! stand when the logs end. Out: a plain value that is written and read with serde, as large as
//! what is open; and the same sessions again, in places of their own.
//!
//! Free places and references to sessions that are gone are left out, so places are numbered anew.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{HOLD_SECONDS, Place, ServerSessions, Slot, Stage};
use crate::logs::mail::sessions::messages::Message;
use crate::logs::mail::sessions::open::Open;
use crate::model::session::Delivery;
use crate::model::time::{Timestamp, micros};

/// What is open of one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::logs::mail::sessions) struct CarriedServer {
    name: Box<str>,
    sessions: Vec<CarriedSession>,
    messages: Vec<CarriedMessage>,
    /// Sessions on their way to another process, oldest first.
    handed_over: Vec<(IpAddr, u32)>,
    /// Sessions held for their messages, in the order in which they are given up.
    held: Vec<u32>,
    #[serde(with = "micros")]
    now: Option<Timestamp>,
    #[serde(with = "micros")]
    next_sweep: Option<Timestamp>,
    has_strands: bool,
}

/// A session that has not been given out.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct CarriedSession {
    key: u64,
    /// Whether the key still leads to it.
    talks: bool,
    stage: Stage,
    messages: u32,
    stands_for: Option<u64>,
    /// When it was held, by the log's time.
    #[serde(with = "micros")]
    held_from: Option<Timestamp>,
    open: Open,
}

/// A message in the queue, or one that left it a moment ago.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct CarriedMessage {
    queue: u64,
    session: Option<u32>,
    upstream: Option<u32>,
    deliveries: Vec<Delivery>,
    gone: bool,
    #[serde(with = "micros")]
    touched: Option<Timestamp>,
}

impl CarriedServer {
    /// Gives the inputs of all lines other numbers.
    pub(in crate::logs::mail::sessions) fn renumber(
        &mut self,
        number: &dyn Fn(u32) -> Option<u32>,
    ) {
        for session in &mut self.sessions {
            session.open.renumber(number);
        }
    }

    /// Whether nothing is open.
    pub(in crate::logs::mail::sessions) fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.messages.is_empty()
    }
}

impl ServerSessions {
    /// What is open now.
    pub(in crate::logs::mail::sessions) fn carried(&self) -> CarriedServer {
        let mut places: HashMap<u32, u32> = HashMap::new();
        let mut sessions = Vec::new();
        for (index, slot) in (0u32..).zip(&self.slots) {
            if slot.stage == Stage::Free || self.is_forgotten(slot) {
                continue;
            }
            let place = Place { index, generation: slot.generation };
            places.insert(index, sessions.len() as u32);
            sessions.push(CarriedSession {
                key: slot.key,
                talks: self.keys.get(&slot.key) == Some(&place),
                stage: slot.stage,
                messages: slot.messages,
                stands_for: slot.stands_for,
                held_from: None,
                open: slot.open.clone(),
            });
        }
        let now_at = |place: Place| {
            let slot = self.slots.get(place.index as usize)?;
            let lives = slot.generation == place.generation && slot.stage != Stage::Free;
            places.get(&place.index).copied().filter(|_| lives)
        };
        let mut held = Vec::new();
        for &(place, from) in &self.held {
            let Some(at) = now_at(place) else { continue };
            held.push(at);
            if let Some(session) = sessions.get_mut(at as usize) {
                session.held_from = from;
            }
        }
        let mut messages: Vec<CarriedMessage> = self
            .messages
            .iter()
            .map(|(queue, message)| CarriedMessage {
                queue: *queue,
                session: message.session.and_then(now_at),
                upstream: message.upstream.and_then(now_at),
                deliveries: message.deliveries.clone(),
                gone: message.gone,
                touched: message.touched,
            })
            .collect();
        messages.sort_unstable_by_key(|message| message.queue);
        let handed_over = self.handed_over.iter();
        CarriedServer {
            name: self.name.clone(),
            handed_over: handed_over.filter_map(|&(ip, at)| Some((ip, now_at(at)?))).collect(),
            sessions,
            messages,
            held,
            now: self.now,
            next_sweep: self.next_sweep,
            has_strands: self.has_strands,
        }
    }

    /// Whether a session that another input told is over for good.
    fn is_forgotten(&self, slot: &Slot) -> bool {
        let since = slot.open.end.map(|end| end.plus_seconds(HOLD_SECONDS));
        slot.open.told_before && since.is_none_or(|since| self.now.is_some_and(|now| since < now))
    }

    /// The sessions of an earlier run.
    pub(in crate::logs::mail::sessions) fn restored(carried: CarriedServer) -> Self {
        let mut server = Self::new(carried.name);
        (server.now, server.next_sweep) = (carried.now, carried.next_sweep);
        server.has_strands = carried.has_strands;
        let place = |index: u32| Place { index, generation: 0 };
        for &index in &carried.held {
            let from = carried.sessions.get(index as usize).and_then(|session| session.held_from);
            server.held.push_back((place(index), from));
        }
        server.handed_over =
            carried.handed_over.into_iter().map(|(ip, index)| (ip, place(index))).collect();
        for message in carried.messages {
            server.messages.insert(
                message.queue,
                Message {
                    session: message.session.map(place),
                    upstream: message.upstream.map(place),
                    deliveries: message.deliveries,
                    gone: message.gone,
                    touched: message.touched,
                },
            );
        }
        for (index, session) in (0u32..).zip(carried.sessions) {
            if session.talks {
                server.keys.insert(session.key, place(index));
            }
            server.slots.push(Slot {
                generation: 0,
                stage: session.stage,
                messages: session.messages,
                key: session.key,
                stands_for: session.stands_for,
                open: session.open,
            });
        }
        server
    }
}
