//! writers: to come.
