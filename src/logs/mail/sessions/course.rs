//! What became of a session's conversation, so far. In: the facts about it, in order. Out: what each
//! proves, and at the end HELO, AUTH and the furthest point, by the design's rules (section 6):
//! proofs before hints. Who talked, names, times and lines are kept elsewhere.

use serde::{Deserialize, Serialize};

use crate::logs::mail::fact::{Answer, Deed, End, Fact, Success, Summary, Verb, Weight};
use crate::logs::mail::sessions::dialogue::Dialogue;
use crate::logs::mail::{FORMATS, Logs};
use crate::model::session::{Auth, Helo, Outcome, Proves};

/// The conversation as far as it was told. It is carried from run to run as a part of its session.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about the session")]
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Course {
    proof: Option<Answer>,
    hint: Option<Answer>,
    auth: Option<Success>,
    refused: bool,
    /// How often a message was told as accepted.
    queued: u32,
    /// The server's own count of accepted messages.
    messages_told: Option<u32>,
    connected: bool,
    commanded: bool,
    ended: bool,
    ending: Option<End>,
    dialogue: Dialogue,
}

/// The names that a client gave with a fact: in HELO, and of the user who logged in.
pub(super) fn names_of<T: Copy>(fact: &Fact<T>) -> (Option<T>, Option<T>) {
    match *fact {
        Fact::Helo { name, .. }
        | Fact::Alone { name, .. }
        | Fact::Command { verb: Verb::Helo, name } => (name, None),
        Fact::Auth { success: Success::Ok, user } => (None, user),
        _ => (None, None),
    }
}

impl Course {
    /// Takes a fact, and tells `cite` what its line proves: one thing, or several.
    #[inline]
    pub(super) fn take<T: Copy>(&mut self, fact: &Fact<T>, mut cite: impl FnMut(Proves)) {
        let proves = match *fact {
            Fact::Connect => {
                self.connected = true;
                Proves::Connection
            }
            Fact::Helo { answer, weight, .. } => self.take_helo(answer, weight),
            Fact::Command { verb, .. } => self.take_command(verb),
            Fact::Reply { code } => self.take_reply(code),
            Fact::Auth { success, .. } => self.take_auth(success),
            Fact::Refused => {
                self.refused = true;
                Proves::Presence
            }
            Fact::Queued { .. } => {
                self.queued = self.queued.saturating_add(1);
                Proves::Queued
            }
            Fact::Ending(end) => {
                self.ending = self.ending.max(Some(end));
                Proves::Presence
            }
            Fact::Disconnect { end, summary } => self.take_disconnect(end, summary, &mut cite),
            Fact::Visit { end, summary, .. } => {
                self.connected = true;
                cite(Proves::Connection);
                self.take_disconnect(end, summary, &mut cite)
            }
            Fact::Alone { helo, deed, .. } => return self.take_alone(helo, deed, cite),
            Fact::Delivery { .. } => Proves::Delivery,
            Fact::Seen
            | Fact::Announced { .. }
            | Fact::HandOver
            | Fact::Renamed { .. }
            | Fact::Removed => Proves::Presence,
        };
        cite(proves);
    }

    /// Whether queue ids of the session can still be accepted or delivered.
    pub(super) fn may_have_messages(&self) -> bool {
        self.messages_told != Some(0) || self.queued > 0
    }

    /// Takes back that a message was accepted: it was refused after all.
    pub(super) fn refuse_message(&mut self) {
        self.queued = self.queued.saturating_sub(1);
    }

    /// Whether a command was refused so far.
    pub(super) fn was_refused(&self) -> bool {
        self.refused
    }

    /// What became of HELO and of AUTH, and the furthest point, of a session of this format whose
    /// messages were passed on or not.
    pub(super) fn conclude(&self, format: u8, passed_on: bool) -> (Helo, Auth, Outcome) {
        let helo = self.helo(format);
        let outcome = if passed_on { Outcome::Relayed } else { self.outcome(helo) };
        (helo, self.auth_word(), outcome)
    }

    fn take_helo(&mut self, answer: Answer, weight: Weight) -> Proves {
        let slot = match weight {
            Weight::Hint => &mut self.hint,
            Weight::Proof => &mut self.proof,
        };
        *slot = (*slot).max(Some(answer));
        Proves::Helo
    }

    fn take_command(&mut self, verb: Verb) -> Proves {
        self.commanded = true;
        self.dialogue.command(verb);
        match verb {
            Verb::Helo => self.take_helo(Answer::Sent, Weight::Proof),
            Verb::Auth => Proves::Auth,
            Verb::Quit => {
                self.ending = self.ending.max(Some(End::Orderly));
                Proves::Presence
            }
            _ => Proves::Presence,
        }
    }

    fn take_reply(&mut self, code: u16) -> Proves {
        let refused = code >= 400;
        match (self.dialogue.reply(code), code) {
            (None, 300..=399) => Proves::Presence,
            (Some(Verb::Helo), _) => {
                let answer = if refused { Answer::Rejected } else { Answer::Accepted };
                self.take_helo(answer, Weight::Proof)
            }
            (Some(Verb::Auth), _) | (None, 235 | 535) => {
                self.take_auth(if refused { Success::Failed } else { Success::Ok })
            }
            (Some(Verb::MessageEnd), 200..=299) => {
                self.queued = self.queued.saturating_add(1);
                Proves::Queued
            }
            // The server closes an idle connection: nothing was asked, nothing is refused.
            (None, 421) if self.commanded => {
                self.ending = self.ending.max(Some(End::Lost));
                Proves::Presence
            }
            _ => {
                self.refused |= refused;
                Proves::Presence
            }
        }
    }

    fn take_auth(&mut self, success: Success) -> Proves {
        self.auth = self.auth.max(Some(success));
        Proves::Auth
    }

    fn take_disconnect(
        &mut self,
        end: End,
        summary: Option<Summary>,
        cite: &mut impl FnMut(Proves),
    ) -> Proves {
        self.ended = true;
        if self.ending.is_none_or(|known| known == End::Untold) {
            self.ending = Some(end);
        }
        let Some(summary) = summary else { return Proves::Presence };
        self.refused |= summary.refused;
        self.messages_told = summary.messages.or(self.messages_told);
        if summary.messages.is_some_and(|count| count > 0) {
            self.queued = self.queued.saturating_add(1);
            cite(Proves::Queued);
        }
        if let Some(success) = summary.auth {
            cite(self.take_auth(success));
        }
        match summary.helo {
            Some(answer) => self.take_helo(answer, Weight::Proof),
            None => Proves::Presence,
        }
    }

    /// Proofs are told in their order.
    fn take_alone(&mut self, helo: Option<Answer>, deed: Deed, mut cite: impl FnMut(Proves)) {
        let presence = self.take_disconnect(End::Untold, None, &mut cite);
        cite(presence);
        if let Some(answer) = helo {
            cite(self.take_helo(answer, Weight::Hint));
        }
        match deed {
            Deed::Refused => self.refused = true,
            Deed::Queued { .. } => {
                self.queued = self.queued.saturating_add(1);
                cite(Proves::Queued);
            }
        }
    }

    fn helo(&self, format: u8) -> Helo {
        let known = [self.proof, self.hint].into_iter().flatten().find_map(|answer| match answer {
            Answer::Accepted => Some(Helo::Accepted),
            Answer::Rejected => Some(Helo::Rejected),
            Answer::NoneAccepted if self.hint > Some(Answer::NotSent) => Some(Helo::Rejected),
            Answer::NotSent | Answer::NoneAccepted => Some(Helo::None),
            Answer::Sent => None,
        });
        known.unwrap_or_else(|| {
            let every_command = self.connected && self.ended && self.proof.is_none();
            let logs = FORMATS.get(usize::from(format)).map(|format| format.logs());
            if every_command && logs == Some(Logs::Commands) { Helo::None } else { Helo::Unknown }
        })
    }

    fn auth_word(&self) -> Auth {
        match self.auth {
            Some(Success::Ok) => Auth::Ok,
            Some(Success::Failed) => Auth::Failed,
            None => Auth::None,
        }
    }

    /// The furthest point of a session whose messages, if any, were not passed on.
    fn outcome(&self, helo: Helo) -> Outcome {
        let refused = self.refused
            || self.auth == Some(Success::Failed)
            || self.proof == Some(Answer::Rejected);
        let orderly = self.ending == Some(End::Orderly);
        if self.queued > 0 {
            Outcome::Queued
        } else if refused {
            Outcome::Rejected
        } else if (helo == Helo::Accepted && self.ending.is_some()) || orderly {
            Outcome::HeloOnly
        } else if self.ending == Some(End::Lost) {
            Outcome::Dropped
        } else {
            Outcome::Unknown
        }
    }
}
