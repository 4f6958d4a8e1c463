//! Tickets to bytes. In: the run's tickets and its account. Out: the files of `--out`, replaced
//! as one set. One file an output; `escape` alone escapes, `publish` alone replaces files.

pub mod escape;
pub mod outdir;
pub mod publish;
