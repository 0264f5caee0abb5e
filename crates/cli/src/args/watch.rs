//! `plimsoll watch`

use clap::Subcommand;

/// `plimsoll watch`
#[derive(Debug, Subcommand)]
pub(crate) enum Watch {
    /// Judge recorded watches again, over what was seen then
    Replay {
        /// The ledger entry of one watch; without it, the newest ones
        #[arg(value_name = "ENTRY")]
        entry: Option<u64>,
        /// Only this environment's
        #[arg(long, value_name = "ENV")]
        env: Option<String>,
        /// How many
        #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
        limit: u64,
    },
}
