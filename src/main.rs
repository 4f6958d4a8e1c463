//! The `helotriage` binary: hands the command line to the library and exits with its code.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Workers allocate for each other all the time, which the systems' own allocators are slow at.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    helotriage::cli::main()
}
