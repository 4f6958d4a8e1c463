//! Log bytes to flows and sessions. In: files, archives and standard input in any of the supported
//! formats. Out: ordered batches of flows and sessions, and a tally in which every line ends as
//! exactly one of event, ignored, rejected or duplicate.
//!
//! `line` and `clock` say what a line and its time are, `envelope` takes off what relays and SIEMs
//! put around a line, `fields` helps parsers to cut; `firewall` and `mail` hold one file a format.
#![deny(clippy::indexing_slicing)]

pub mod clock;
pub mod line;
pub mod fields;
pub mod json;
pub mod envelope;
pub mod source;
pub mod cite;
pub mod wrapping;
pub mod firewall;
pub mod join;
pub mod mail;
pub mod carried;
pub mod detect;
pub mod read;
pub mod inspect;
pub mod inspect_session;
pub mod redact;
