//! Which command a reply answers. In: commands and final replies of one session, in order. Out:
//! for each reply the command it belongs to. Clients may send several commands at once
//! (RFC 2920), so commands wait in a queue; a queue of more than sixteen forgets the newest.

use serde::{Deserialize, Serialize};

use crate::logs::mail::fact::Verb;

/// Commands that a session may have unanswered.
const MOST_PENDING: u32 = 16;

/// The unanswered commands of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dialogue {
    /// One command in four bits, the oldest lowest.
    pending: u64,
    count: u32,
    /// What the server asked for with a 3xx reply.
    asked: Asked,
}

/// What the client sends instead of commands after a 3xx reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Asked {
    /// Nothing: commands follow.
    #[default]
    Nothing,
    /// The next part of AUTH (334).
    Credentials,
    /// The message (354).
    Message,
}

impl Dialogue {
    /// Takes a command; lines that continue AUTH or a message are none.
    pub(super) fn command(&mut self, verb: Verb) {
        if self.asked == Asked::Nothing && self.count < MOST_PENDING {
            self.pending |= code_of(verb) << (4 * self.count);
            self.count += 1;
        }
    }

    /// Takes a reply; gives the command that it answers for good, if one was waiting.
    pub(super) fn reply(&mut self, code: u16) -> Option<Verb> {
        match code {
            334 => self.asked = Asked::Credentials,
            354 => self.asked = Asked::Message,
            _ => return self.answer(),
        }
        None
    }

    fn answer(&mut self) -> Option<Verb> {
        let asked = std::mem::take(&mut self.asked);
        if self.count == 0 {
            return match asked {
                Asked::Nothing => None,
                Asked::Credentials => Some(Verb::Auth),
                Asked::Message => Some(Verb::MessageEnd),
            };
        }
        let verb = verb_of(self.pending & 15);
        self.pending >>= 4;
        self.count -= 1;
        match (verb, asked) {
            (Verb::Data, Asked::Message) => Some(Verb::MessageEnd),
            _ => Some(verb),
        }
    }
}

fn code_of(verb: Verb) -> u64 {
    match verb {
        Verb::Other => 0,
        Verb::Helo => 1,
        Verb::Auth => 2,
        Verb::Mail => 3,
        Verb::Rcpt => 4,
        Verb::Data => 5,
        Verb::MessageEnd => 6,
        Verb::Quit => 7,
    }
}

fn verb_of(code: u64) -> Verb {
    match code {
        1 => Verb::Helo,
        2 => Verb::Auth,
        3 => Verb::Mail,
        4 => Verb::Rcpt,
        5 => Verb::Data,
        6 => Verb::MessageEnd,
        7 => Verb::Quit,
        _ => Verb::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_find_their_commands() {
        let mut talk = Dialogue::default();
        assert_eq!(talk.reply(220), None);
        talk.command(Verb::Helo);
        assert_eq!(talk.reply(250), Some(Verb::Helo));
        talk.command(Verb::Auth);
        assert_eq!(talk.reply(334), None);
        talk.command(Verb::Other); // base64
        assert_eq!(talk.reply(334), None);
        assert_eq!(talk.reply(535), Some(Verb::Auth));
        for verb in [Verb::Mail, Verb::Rcpt, Verb::Data] {
            talk.command(verb);
        }
        assert_eq!(talk.reply(250), Some(Verb::Mail));
        assert_eq!(talk.reply(550), Some(Verb::Rcpt));
        assert_eq!(talk.reply(354), None);
        assert_eq!(talk.reply(250), Some(Verb::MessageEnd));
        talk.command(Verb::Quit);
        assert_eq!(talk.reply(221), Some(Verb::Quit));
    }

    #[test]
    fn a_flood_of_commands_is_bounded() {
        let mut talk = Dialogue::default();
        (0..1000).for_each(|_| talk.command(Verb::Rcpt));
        assert_eq!((0..1000).filter_map(|_| talk.reply(250)).count(), 16);
    }
}
