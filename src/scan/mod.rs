//! Reads .nessus exports. In: the bytes of an export, already decompressed. Out: a
//! `model::finding::Scan` per export, and from several of them the hosts and targets that
//! tickets are about (`targets`).
//!
//! The order of the work: `encoding` (UTF-16, BOM) → `chunks` (cuts the stream before `<Report…`)
//! → `walk` over `markup` and `bang` (checks every byte, finds the parts that count by their
//! `surroundings`) → `item` and `host` (read those parts with quick-xml) → `assemble` (puts the
//! parts of all chunks together). `read` runs it over the cores. Policy files play no part here.

mod assemble;
mod bang;
pub mod catalogue;
mod chunks;
mod clock;
mod encoding;
mod host;
pub mod inspect;
mod item;
mod markup;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod proofs_random;
pub mod read;
mod refusal;
mod surroundings;
pub mod targets;
mod text;
mod walk;

pub use refusal::is_export;
