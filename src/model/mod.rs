//! The facts that the stages hand to each other: no I/O, no clock, no judgement.

pub mod net;
pub mod text;
pub mod time;
pub mod finding;
pub mod target;
pub mod flow;
pub mod session;
pub mod citation;
pub mod policy;
pub mod input;
pub mod reading;
pub mod judged;
pub mod suggestion;
