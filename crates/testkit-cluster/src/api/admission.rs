//! Admission: who may object to a write. Webhooks that are functions are here,
//! those that are registered in `calling.rs`, quotas in `quota.rs`.

use std::fmt;
use std::sync::Arc;

use super::{Review, Verb};
use crate::failure::Failure;
use crate::kinds::by_any_name;
use crate::object::text;
use crate::store::Key;
use crate::world::World;

/// What a webhook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allow,
    /// No, and why. The server answers as for a webhook that gives a message
    /// and the status 403.
    Deny(String),
    /// The webhook cannot be reached, with this error; its failure policy
    /// decides to refuse.
    Unreachable(String),
}

/// A webhook that is a function.
#[derive(Clone)]
pub(crate) struct Webhook {
    pub(crate) name: String,
    pub(crate) judge: Arc<dyn Fn(&Review<'_>) -> Verdict + Send + Sync>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

impl World {
    /// Everybody who may object is asked, in the order of the real server:
    /// life of the namespace, webhooks, quota.
    pub(super) fn admit(&self, review: &Review<'_>, name: &str) -> Result<(), Failure> {
        if review.verb == Verb::Create {
            self.admit_into_namespace(review, name)?;
        }
        for webhook in &self.webhooks {
            match (webhook.judge)(review) {
                Verdict::Allow => {}
                Verdict::Deny(why) => {
                    let message = format!("admission webhook \"{}\" denied the request: {why}", webhook.name);
                    return Err(Failure::new(403, "Forbidden", message));
                }
                Verdict::Unreachable(why) => {
                    return Err(Failure::internal(format_args!(
                        "failed calling webhook \"{}\": failed to call webhook: {why}",
                        webhook.name
                    )));
                }
            }
        }
        self.validated(review)?;
        if review.verb == Verb::Create && review.subresource.is_empty() {
            self.admit_under_quota(review, name)?;
        }
        Ok(())
    }

    fn admit_into_namespace(&self, review: &Review<'_>, name: &str) -> Result<(), Failure> {
        let Some(namespaces) = by_any_name("namespaces") else { return Ok(()) };
        if !review.kind.namespaced {
            return Ok(());
        }
        let Some(namespace) = self.store.get(&Key::new(namespaces, "", review.namespace)) else {
            return Err(Failure::not_found(namespaces, review.namespace));
        };
        if text(namespace, "/status/phase") == "Terminating" && review.kind.kind != "Event" {
            let why = format!(
                "unable to create new content in namespace {} because it is being terminated",
                review.namespace
            );
            let mut failure = Failure::forbidden(review.kind, name, &why);
            failure.details["causes"] = serde_json::json!([{
                "reason": "NamespaceTerminating", "message": format!("namespace {} is being terminated", review.namespace),
                "field": "metadata.namespace",
            }]);
            return Err(failure);
        }
        Ok(())
    }
}
