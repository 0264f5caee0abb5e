//! Back to an image that was deployed before (RBK-1).
//!
//! Nothing here can build, push or move a tag: it goes through
//! [`crate::rollout`], which is given read access only, and the targets cannot
//! even name the code that builds (invariant 2; held by `cargo xtask tidy`).

use plimsoll_model::Failure;
use plimsoll_model::event::RolloutKind;

use crate::report::RolloutReport;
use crate::{Context, RolloutRequest, into_environment};

/// Points an environment at an image that served there before.
///
/// # Errors
/// When facts cannot be gathered, the environment is locked, or the outcome
/// cannot be known. A refusal and a failed rollback are reports, not errors.
pub async fn rollback(context: &Context, request: RolloutRequest) -> Result<RolloutReport, Failure> {
    debug_assert_eq!(request.asked.rollout, RolloutKind::Rollback);
    into_environment(context, request).await
}
