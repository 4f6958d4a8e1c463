//! scan: to come.
