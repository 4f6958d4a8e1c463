//! judge: to come.
