//! Questions that are answered and not kept.

use serde_json::{Value, json};

use crate::api::Actor;
use crate::api::access::{Attempt, refusal};
use crate::failure::Failure;
use crate::kinds::{Kind, by_plural};
use crate::object::{list, set, text, time};
use crate::store::Key;
use crate::world::World;

/// The review with its answer in `status`.
pub(super) fn answer(world: &World, kind: &Kind, actor: &Actor, mut review: Value) -> Result<Value, Failure> {
    review["apiVersion"] = kind.api_version().into();
    review["kind"] = kind.kind.into();
    let status = match kind.kind {
        "SelfSubjectReview" => json!({"userInfo": {"username": actor.user, "groups": actor.groups}}),
        "SelfSubjectRulesReview" => json!({
            "incomplete": true, "nonResourceRules": [], "resourceRules": [],
            "evaluationError": "rules cannot be listed by this authorizer",
        }),
        "TokenReview" => match world.users.get(text(&review, "/spec/token")) {
            Some(user) if !user.expired => {
                json!({"authenticated": true, "user": {"username": user.actor.user, "groups": user.actor.groups}})
            }
            _ => json!({"authenticated": false, "error": "invalid bearer token"}),
        },
        _ => access(world, kind, actor, &review),
    };
    review["status"] = status;
    Ok(review)
}

fn access(world: &World, kind: &Kind, asking: &Actor, review: &Value) -> Value {
    let actor = if kind.kind == "SelfSubjectAccessReview" {
        asking.clone()
    } else {
        let groups =
            list(review, "/spec/groups").iter().filter_map(|group| group.as_str().map(str::to_owned));
        Actor { user: text(review, "/spec/user").into(), groups: groups.collect() }
    };
    let attributes = &review["spec"]["resourceAttributes"];
    let of = |name: &str| text(attributes, &format!("/{name}"));
    let Some(asked) = by_plural(of("group"), of("resource")) else {
        return json!({"allowed": actor.is_master()});
    };
    let attempt = Attempt {
        verb: of("verb"),
        kind: asked,
        subresource: of("subresource"),
        namespace: of("namespace"),
        name: of("name"),
    };
    if world.may(&actor, &attempt) {
        json!({"allowed": true})
    } else {
        json!({"allowed": false, "reason": refusal(&actor, &attempt).message})
    }
}

/// A token for a service account, which the server then knows.
pub(super) fn token(world: &mut World, key: &Key, request: &Value) -> Result<Value, Failure> {
    world.live(key.kind, key)?;
    let token = format!("token-{}", world.uid());
    let actor = Actor {
        user: format!("system:serviceaccount:{}:{}", key.namespace, key.name),
        groups: vec!["system:serviceaccounts".into(), "system:authenticated".into()],
    };
    world.users.insert(token.clone(), crate::world::User { actor, expired: false });
    let mut answer = request.clone();
    answer["apiVersion"] = "authentication.k8s.io/v1".into();
    answer["kind"] = "TokenRequest".into();
    let seconds = answer["spec"]["expirationSeconds"].as_u64().unwrap_or(3600);
    set(
        &mut answer,
        "/status",
        json!({"token": token, "expirationTimestamp": time(world.now + seconds * 1000)}),
    );
    Ok(answer)
}
