//! The integration tests, one binary: each module runs the program as its users do, or checks what
//! the unit tests of one module cannot see.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test is a panic")]

mod architecture;
mod case;
mod oracle;
mod profiles;
mod program;
mod known_truth;
mod determinism;
mod demo;
mod refusals;
mod templates;
mod stopped;
mod failed;
mod suggest;
mod life;
mod many_nights;
mod nights;
mod read_on;
mod thirty_nights;
