//! Sessions that begin and end inside one block of a log. In: the facts of a block, in order. Out:
//! those sessions, finished by the worker that read the block, and which facts are theirs.
//!
//! No other session may have a say in such a one: its key and its messages are nobody else's in the
//! block, no other process goes on with it, its messages leave the queue before the block ends and
//! are delivered nowhere by SMTP, and its lines lie close together in time. Whether anything from
//! before the block has a say is looked up when its turn comes (`server::whole`); if so, its facts
//! are taken one by one like all others.

use std::cell::RefCell;
use std::net::IpAddr;

use crate::logs::mail::batch::{BatchFact, Text};
use crate::logs::mail::fact::{Deed, Fact, Subject};
use crate::logs::mail::sessions::cited::Cited;
use crate::logs::mail::sessions::course::{Course, names_of};
use crate::logs::mail::sessions::nearby::{Id, Nearby};
use crate::model::session::{Auth, Helo, Outcome, Proves};
use crate::model::time::Timestamp;

/// Log time, in seconds, within which all lines from a session's first to its last must lie: no
/// format gives up a session after so short a silence.
const LONGEST: i64 = 280;

/// No session.
const NONE: u32 = u32::MAX;

/// The sessions of a block that may be whole, in the order of their first facts.
#[derive(Debug, Clone, Default)]
pub(in crate::logs::mail) struct Wholes {
    /// For each fact the session that it belongs to, as an index, or [`NONE`]; and whether it is of
    /// the same server and time as the one before it.
    of_facts: Vec<(u32, bool)>,
    /// For each session that began in the block its index among the whole ones, or [`NONE`].
    sessions: Vec<u32>,
    finished: Vec<Whole>,
    lines: Vec<(u32, Proves)>,
    messages: Vec<(u64, Timestamp)>,
}

/// A session that began and ended in the block, and in which nothing else of the block has a say.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    /// Indexes of its first and its last fact.
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) server: u32,
    pub(super) key: u64,
    pub(super) format: u8,
    pub(super) client: Option<IpAddr>,
    pub(super) client_port: Option<u16>,
    pub(super) local_ip: Option<IpAddr>,
    pub(super) local_port: Option<u16>,
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) helo: Helo,
    pub(super) auth: Auth,
    pub(super) outcome: Outcome,
    pub(super) helo_name: Option<Text>,
    pub(super) user: Option<Text>,
    lines: (u32, u32),
    messages: (u32, u32),
}

impl Wholes {
    /// Forgets all, and keeps the memory.
    pub(in crate::logs::mail) fn clear(&mut self) {
        self.of_facts.clear();
        self.sessions.clear();
        self.finished.clear();
        self.lines.clear();
        self.messages.clear();
    }

    /// Finds the whole sessions of a block.
    pub(in crate::logs::mail) fn find(&mut self, facts: &[BatchFact]) {
        self.clear();
        if facts.iter().any(|fact| fact.time.is_none()) {
            return;
        }
        SEARCH.with_borrow_mut(|search| {
            search.clear();
            let mut before = None;
            let mut of_facts = std::mem::take(&mut self.of_facts);
            of_facts.extend(facts.iter().enumerate().map(|(index, record)| {
                let now = Some((record.server, record.time));
                let stays = std::mem::replace(&mut before, now) == now;
                (search.take(self, index as u32, record), stays)
            }));
            self.of_facts = of_facts;
        });
    }

    /// The whole session that a fact belongs to, and its index.
    pub(super) fn of_fact(&self, fact: usize) -> Option<(usize, &Whole)> {
        let session = self.of_facts.get(fact)?.0 as usize;
        let whole = self.finished.get(*self.sessions.get(session)? as usize)?;
        Some((session, whole))
    }

    /// Whether a fact is of the same server and time as the one before it.
    pub(super) fn stays(&self, fact: usize) -> bool {
        self.of_facts.get(fact).is_some_and(|(_, stays)| *stays)
    }

    /// How many sessions began in the block.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The lines that a session keeps, within the block, and what they prove; ascending.
    pub(super) fn lines(&self, whole: &Whole) -> &[(u32, Proves)] {
        self.lines.get(whole.lines.0 as usize..whole.lines.1 as usize).unwrap_or_default()
    }

    /// The messages that a session brought, and when each was last spoken of.
    pub(super) fn messages(&self, whole: &Whole) -> &[(u64, Timestamp)] {
        self.messages.get(whole.messages.0 as usize..whole.messages.1 as usize).unwrap_or_default()
    }

    /// Adds a session of one fact that brought no message: nothing more can be said of it.
    fn add_alone(&mut self, index: u32, record: &BatchFact, key: u64, time: Timestamp) -> u32 {
        let (session, lines) = (self.sessions.len() as u32, self.lines.len() as u32);
        self.sessions.push(self.finished.len() as u32);
        let mut course = Course::default();
        course.take(&record.fact, |proves| match record.fact {
            Fact::Visit { lines, .. } if proves != Proves::Connection => {
                self.lines.push((record.line.saturating_add(lines), proves));
            }
            _ => self.lines.push((record.line, proves)),
        });
        if let Fact::Visit { .. } = record.fact
            && let Some(told) = self.lines.get_mut(lines as usize..)
            && !told.is_sorted()
        {
            told.sort_unstable();
        }
        let (helo, auth, outcome) = course.conclude(record.format, false);
        let (helo_name, user) = names_of(&record.fact);
        self.finished.push(Whole {
            first: index,
            last: index,
            server: record.server,
            key,
            format: record.format,
            client: record.client,
            client_port: record.client_port,
            local_ip: record.local_ip,
            local_port: record.local_port,
            start: Some(time),
            end: Some(time),
            helo,
            auth,
            outcome,
            helo_name,
            user,
            lines: (lines, self.lines.len() as u32),
            messages: (0, 0),
        });
        session
    }

    /// Something else has a say in the session.
    fn spoil(&mut self, session: u32) {
        if let Some(whole) = self.sessions.get_mut(session as usize) {
            *whole = NONE;
        }
    }
}

thread_local! {
    /// Each thread's own, as it is empty again after every block.
    static SEARCH: RefCell<Search> = RefCell::default();
}

/// What is open while the facts of a block are gone through.
#[derive(Debug, Default)]
struct Search {
    talks: Vec<Talk>,
    free: Vec<u32>,
    /// Which talk a session's key of a server leads to.
    keys: Nearby<u32>,
    messages: Nearby<Message>,
    /// For each server the earliest and the latest time since times lie close together, and the
    /// number of such stretches before.
    stretches: Vec<(Timestamp, Timestamp, u32)>,
}

/// A session on its way.
#[derive(Debug, Default)]
struct Talk {
    course: Course,
    format: u8,
    client: Option<IpAddr>,
    client_port: Option<u16>,
    local_ip: Option<IpAddr>,
    local_port: Option<u16>,
    /// The earliest and the latest time of the conversation.
    start: Timestamp,
    end: Timestamp,
    cited: Cited,
    /// Its index among the block's sessions.
    session: u32,
    server: u32,
    key: u64,
    /// Indexes of its first and its last fact.
    first: u32,
    last: u32,
    stretch: u32,
    /// Whether the session is still on its way.
    talks: bool,
    /// Whether the conversation is over.
    ended: bool,
    helo_name: Option<Text>,
    user: Option<Text>,
    /// Its messages, and when each was last spoken of.
    messages: Vec<(u64, Timestamp)>,
    /// How many of them are in the queue.
    queued: u32,
}

/// A message of the block.
#[derive(Debug, Clone, Copy)]
struct Message {
    /// The session that brought it; [`NONE`] where more than one thing speaks of it.
    session: u32,
    /// That session's talk, as long as it is its.
    talk: u32,
    /// Whether it left the queue.
    gone: bool,
}

impl Message {
    const SHARED: Self = Self { session: NONE, talk: NONE, gone: false };
}

impl Search {
    fn clear(&mut self) {
        self.free.clear();
        self.free.extend((0..self.talks.len() as u32).rev());
        self.keys.clear();
        self.messages.clear();
        self.stretches.clear();
    }

    /// Takes a fact; gives the session that it is of.
    fn take(&mut self, found: &mut Wholes, index: u32, record: &BatchFact) -> u32 {
        let Some(time) = record.time else { return NONE };
        let stretch = self.stretch(record.server, time);
        match (record.subject, record.fact) {
            (Subject::Session(key), Fact::Renamed { .. } | Fact::HandOver) => {
                if let Some(talk) = self.keys.get((record.server, key)) {
                    self.give_up(found, talk);
                }
                NONE
            }
            (Subject::Session(key), _) => {
                self.take_session(found, (index, record), key, (stretch, time))
            }
            (Subject::Message(queue), fact) => {
                if let Fact::Delivery { queued_as: Some(other), .. }
                | Fact::Renamed { queue: other } = fact
                {
                    self.share(found, (record.server, other));
                }
                self.take_message(found, (index, record), queue, (stretch, time))
            }
        }
    }

    /// The number of the stretch of close times that a server's fact lies in.
    fn stretch(&mut self, server: u32, time: Timestamp) -> u32 {
        let at = server as usize;
        if at >= self.stretches.len() {
            self.stretches.resize(at.saturating_add(1), (time, time, 0));
        }
        let Some((least, most, number)) = self.stretches.get_mut(at) else { return NONE };
        if (*least..=*most).contains(&time) {
            return *number;
        }
        let (low, high) = ((*least).min(time), (*most).max(time));
        if high.seconds().saturating_sub(low.seconds()) > LONGEST {
            (*least, *most, *number) = (time, time, number.saturating_add(1));
        } else {
            (*least, *most) = (low, high);
        }
        *number
    }

    fn take_session(
        &mut self,
        found: &mut Wholes,
        (index, record): (u32, &BatchFact),
        key: u64,
        (stretch, time): (u32, Timestamp),
    ) -> u32 {
        let mut known = self.keys.get((record.server, key));
        if let Some(at) = known
            && let Some(talk) = self.talks.get(at as usize)
        {
            let clients = (talk.client, record.client);
            let other_client = matches!(clients, (Some(a), Some(b)) if a != b);
            if record.fact.connects() || other_client || talk.stretch != stretch {
                self.give_up(found, at);
                known = None;
            }
        }
        let at = match known {
            Some(talk) => talk,
            None if is_all(&record.fact) => return found.add_alone(index, record, key, time),
            None if matches!(record.fact, Fact::Disconnect { .. }) && record.client.is_none() => {
                return NONE;
            }
            None => self.begin(found, (index, record), key, (stretch, time)),
        };
        let Some(talk) = self.talks.get_mut(at as usize) else { return NONE };
        let session = talk.session;
        talk.last = index;
        (talk.start, talk.end) = (talk.start.min(time), talk.end.max(time));
        talk.meet(record);
        talk.take(record);
        match record.fact {
            Fact::Announced { queue } | Fact::Queued { queue: Some(queue) } => {
                self.announce(found, at, queue, time);
            }
            Fact::Disconnect { .. } => self.end(found, at),
            Fact::Alone { deed, .. } => {
                if let Deed::Queued { queue } = deed {
                    self.announce(found, at, queue, time);
                }
                self.end(found, at);
            }
            // Its texts are kept nowhere here.
            Fact::Delivery { .. } => self.give_up(found, at),
            _ => {}
        }
        session
    }

    fn begin(
        &mut self,
        found: &mut Wholes,
        (index, record): (u32, &BatchFact),
        key: u64,
        (stretch, time): (u32, Timestamp),
    ) -> u32 {
        let session = found.sessions.len() as u32;
        found.sessions.push(NONE);
        let at = self.free.pop().unwrap_or_else(|| {
            self.talks.push(Talk::default());
            (self.talks.len() - 1) as u32
        });
        if let Some(talk) = self.talks.get_mut(at as usize) {
            talk.begin(record);
            (talk.start, talk.end) = (time, time);
            (talk.session, talk.key, talk.first, talk.stretch) = (session, key, index, stretch);
        }
        self.keys.insert((record.server, key), at);
        at
    }

    /// The session was given a queue id for a message.
    fn announce(&mut self, found: &mut Wholes, at: u32, queue: u64, time: Timestamp) {
        let Some(talk) = self.talks.get_mut(at as usize) else { return };
        let id = (talk.server, queue);
        match self.messages.get(id) {
            Some(message) if message.session == talk.session && !message.gone => {}
            Some(_) => {
                self.share(found, id);
                self.give_up(found, at);
            }
            None => {
                talk.messages.push((queue, time));
                talk.queued = talk.queued.saturating_add(1);
                let message = Message { session: talk.session, talk: at, gone: false };
                self.messages.insert(id, message);
            }
        }
    }

    fn take_message(
        &mut self,
        found: &mut Wholes,
        (index, record): (u32, &BatchFact),
        queue: u64,
        (stretch, time): (u32, Timestamp),
    ) -> u32 {
        let id = (record.server, queue);
        let Some(message) = self.messages.get(id) else {
            // It may come to stand for a session of its own.
            if record.client.is_some() {
                self.messages.insert(id, Message::SHARED);
            }
            return NONE;
        };
        if message.gone {
            self.share(found, id);
            return NONE;
        }
        let at = message.talk;
        let Some(talk) = self.talks.get_mut(at as usize) else { return NONE };
        let goes_on = matches!(record.fact, Fact::Delivery { .. } | Fact::Renamed { .. });
        if goes_on || talk.stretch != stretch {
            self.give_up(found, at);
            return NONE;
        }
        talk.last = index;
        talk.take(record);
        if matches!(record.fact, Fact::Refused) {
            talk.course.refuse_message();
        }
        for (_, touched) in talk.messages.iter_mut().filter(|(known, _)| *known == queue) {
            *touched = time;
        }
        if matches!(record.fact, Fact::Removed) {
            talk.queued = talk.queued.saturating_sub(1);
            self.messages.insert(id, Message { gone: true, ..message });
            if talk.ended && talk.queued == 0 {
                self.complete(found, at);
            }
        }
        message.session
    }

    /// The conversation ended; its messages may still be in the queue.
    fn end(&mut self, found: &mut Wholes, at: u32) {
        let Some(talk) = self.talks.get_mut(at as usize).filter(|talk| talk.talks) else { return };
        talk.ended = true;
        self.keys.remove((talk.server, talk.key));
        if talk.queued == 0 {
            self.complete(found, at);
        } else if !talk.course.may_have_messages() {
            // It ends although its queue ids stay in use.
            self.give_up(found, at);
        }
    }

    /// Nothing more can be said of the session.
    fn complete(&mut self, found: &mut Wholes, at: u32) {
        let Some(talk) = self.talks.get_mut(at as usize) else { return };
        talk.talks = false;
        let (lines, messages) = (found.lines.len() as u32, found.messages.len() as u32);
        talk.cited.add_to(&mut found.lines);
        found.messages.extend_from_slice(&talk.messages);
        // Where a delivery has a say, the session is the assembler's.
        let (helo, auth, outcome) = talk.course.conclude(talk.format, false);
        if let Some(whole) = found.sessions.get_mut(talk.session as usize) {
            *whole = found.finished.len() as u32;
        }
        found.finished.push(Whole {
            first: talk.first,
            last: talk.last,
            server: talk.server,
            key: talk.key,
            format: talk.format,
            client: talk.client,
            client_port: talk.client_port,
            local_ip: talk.local_ip,
            local_port: talk.local_port,
            start: Some(talk.start),
            end: Some(talk.end),
            helo,
            auth,
            outcome,
            helo_name: talk.helo_name,
            user: talk.user,
            lines: (lines, found.lines.len() as u32),
            messages: (messages, found.messages.len() as u32),
        });
        self.free.push(at);
    }

    /// The session is not whole: its facts are for the assembler, and so is what follows.
    fn give_up(&mut self, found: &mut Wholes, at: u32) {
        let Some(talk) = self.talks.get_mut(at as usize).filter(|talk| talk.talks) else { return };
        talk.talks = false;
        found.spoil(talk.session);
        let id = (talk.server, talk.key);
        if self.keys.get(id) == Some(at) {
            self.keys.remove(id);
        }
        for (queue, _) in &talk.messages {
            self.messages.insert((talk.server, *queue), Message::SHARED);
        }
        self.free.push(at);
    }

    /// Something else than the session that brought it speaks of a message.
    fn share(&mut self, found: &mut Wholes, id: Id) {
        let Some(message) = self.messages.insert(id, Message::SHARED) else { return };
        found.spoil(message.session);
        let talks = |talk: &Talk| talk.talks && talk.session == message.session;
        if self.talks.get(message.talk as usize).is_some_and(talks) {
            self.give_up(found, message.talk);
        }
    }
}

impl Talk {
    /// Begins anew in the same place, with what the first record knows of the ends.
    fn begin(&mut self, record: &BatchFact) {
        self.course = Course::default();
        (self.format, self.server) = (record.format, record.server);
        (self.client, self.client_port) = (record.client, record.client_port);
        (self.local_ip, self.local_port) = (record.local_ip, record.local_port);
        self.cited.clear();
        (self.talks, self.ended, self.queued) = (true, false, 0);
        (self.helo_name, self.user) = (None, None);
        self.messages.clear();
    }

    /// Takes the ends that a record knows.
    fn meet(&mut self, record: &BatchFact) {
        learn(&mut self.client, record.client);
        learn(&mut self.client_port, record.client_port);
        learn(&mut self.local_ip, record.local_ip);
        learn(&mut self.local_port, record.local_port);
    }

    /// Takes what is said. The last name that the client gave, and the user, stay where they are in
    /// the block's texts.
    fn take(&mut self, record: &BatchFact) {
        let (helo_name, user) = names_of(&record.fact);
        self.helo_name = helo_name.or(self.helo_name);
        self.user = user.or(self.user);
        let cited = &mut self.cited;
        self.course.take(&record.fact, |proves| cited.cite(proves, record.line));
    }
}

/// Whether a session that begins with the fact has ended with it, and brought no message.
fn is_all(fact: &Fact<Text>) -> bool {
    matches!(fact, Fact::Alone { deed: Deed::Refused, .. } | Fact::Visit { .. })
}

/// The first word counts. Most records tell nothing new, and then nothing is written.
fn learn<T: Copy>(known: &mut Option<T>, told: Option<T>) {
    if known.is_none() && told.is_some() {
        *known = told;
    }
}
