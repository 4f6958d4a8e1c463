//! Correlates Nessus SMTP findings with firewall and mail-server logs and writes prioritised
//! remediation tickets that cite the log lines which prove them.
//!
//! The modules stand in the order in which the data flows; each uses only what stands before it:
//!
//! ```text
//! .nessus ─► findings ─► targets ─┐
//! firewall logs ─► flows ─────────┼─► correlate ─► evidence ─► judge ─► tickets ─► writers
//! mail logs ─► lines ─► sessions ─┘        ▲                      ▲
//!                              policy ─────┴──────────────────────┴── state (between runs)
//! ```

pub mod error;
pub mod model;
pub mod policy;
pub mod scan;
pub mod logs;
pub mod correlate;
pub mod judge;
pub mod tickets;
pub mod writers;
pub mod state;
pub mod pipeline;
pub mod cli;
