//! What the logs leave open when they end. In: the state of reading after its last line. Out: one
//! plain value; with it the next run goes on as if the logs had not ended.

use serde::{Deserialize, Serialize};

use crate::logs::join::CarriedPairs;
use crate::logs::mail::CarriedSessions;

/// What the next run goes on with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Carried {
    /// Mail sessions and messages.
    pub sessions: CarriedSessions,
    /// Firewall records that may still be paired.
    pub pairs: CarriedPairs,
}
