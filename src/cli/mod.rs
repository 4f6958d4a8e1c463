//! cli: to come.
use std::process::ExitCode;
/// entry
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
