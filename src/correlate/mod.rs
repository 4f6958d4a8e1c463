//! correlate: to come.
