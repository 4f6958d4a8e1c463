//! tickets: to come.
