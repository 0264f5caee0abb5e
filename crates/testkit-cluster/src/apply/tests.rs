//! Ownership, conflicts and pruning.

use serde_json::{Value, json};

use super::*;
use crate::kinds::by_any_name;

fn writer(manager: &str, operation: Operation) -> Writer<'_> {
    Writer {
        manager,
        operation,
        subresource: "",
        api_version: "apps/v1".into(),
        time: "2026-01-01T00:00:00Z".into(),
    }
}

fn applied(live: &Value, config: &Value, manager: &str) -> Result<Value, Failure> {
    apply(by_any_name("deploy").expect("served"), live, config, &writer(manager, Operation::Apply), false)
}

fn config(image: &str, more: Value) -> Value {
    let mut container = json!({"name": "app", "image": image});
    for (name, value) in more.as_object().into_iter().flatten() {
        container[name] = value.clone();
    }
    json!({"spec": {"template": {"spec": {"containers": [container]}}}})
}

#[test]
fn what_an_applier_leaves_out_goes() {
    let first =
        applied(&json!({}), &config("a", json!({"env": [{"name": "X", "value": "1"}, {"name": "Y"}]})), "me");
    let first = first.expect("nobody else is there");
    let second = applied(&first, &config("a", json!({"env": [{"name": "Y"}]})), "me").expect("no conflict");
    assert_eq!(second.pointer("/spec/template/spec/containers/0/env"), Some(&json!([{"name": "Y"}])));
    let third = applied(&second, &config("a", json!({})), "me").expect("no conflict");
    assert_eq!(
        third.pointer("/spec/template/spec/containers/0"),
        Some(&json!({"name": "app", "image": "a"}))
    );
}

#[test]
fn what_another_owns_stays() {
    let mine = applied(&json!({}), &config("a", json!({"env": [{"name": "X", "value": "1"}]})), "me");
    let theirs =
        applied(&mine.expect("alone"), &config("a", json!({"tty": true})), "them").expect("the same image");
    let after = applied(&theirs, &json!({}), "me").expect("no conflict");
    let container = json!([{"name": "app", "image": "a", "tty": true}]);
    assert_eq!(after.pointer("/spec/template/spec/containers"), Some(&container));
    assert_eq!(crate::object::list(&after, "/metadata/managedFields").len(), 1);
}

#[test]
fn a_conflict_names_the_manager_and_the_field() {
    let live = applied(&json!({}), &config("a", json!({})), "them").expect("alone");
    let refused = applied(&live, &config("b", json!({})), "me").expect_err("they own the image");
    assert_eq!(refused.code, 409);
    assert_eq!(
        refused.message,
        "Apply failed with 1 conflict: conflict with \"them\": .spec.template.spec.containers[name=\"app\"].image"
    );
    let edited = {
        let mut edited = config("b", json!({}));
        edited["spec"]["replicas"] = 3.into();
        let live = edited.clone();
        note_update(
            by_any_name("deploy").expect("served"),
            &json!({}),
            &mut edited,
            &writer("kubectl-edit", Operation::Update),
        );
        assert_ne!(live, edited);
        edited
    };
    let mut wanted = config("c", json!({}));
    wanted["spec"]["replicas"] = 5.into();
    let refused = applied(&edited, &wanted, "me").expect_err("they own both");
    assert_eq!(
        refused.message,
        "Apply failed with 2 conflicts: conflicts with \"kubectl-edit\" using apps/v1:\n\
         - .spec.replicas\n- .spec.template.spec.containers[name=\"app\"].image"
    );
    assert_eq!(refused.details["causes"][0]["reason"], "FieldManagerConflict");
    assert_eq!(refused.details["causes"][0]["field"], ".spec.replicas");
}

#[test]
fn force_takes_over_and_the_other_loses_it() {
    let kind = by_any_name("deploy").expect("served");
    let live = applied(&json!({}), &config("a", json!({})), "them").expect("alone");
    let forced =
        apply(kind, &live, &config("b", json!({})), &writer("me", Operation::Apply), true).expect("forced");
    assert_eq!(forced.pointer("/spec/template/spec/containers/0/image"), Some(&json!("b")));
    let managers = Managers::of(&forced);
    let them = managers.set(&writer("them", Operation::Apply)).expect("they still own the item");
    assert_eq!(
        them.paths(),
        [".spec.template.spec.containers[name=\"app\"]", ".spec.template.spec.containers[name=\"app\"].name"]
    );
}

#[test]
fn the_same_value_is_shared() {
    let live = applied(&json!({}), &config("a", json!({})), "them").expect("alone");
    let both = applied(&live, &config("a", json!({})), "me").expect("the same value is no conflict");
    assert_eq!(crate::object::list(&both, "/metadata/managedFields").len(), 2);
}

#[test]
fn applying_twice_changes_nothing() {
    let config = config("a", json!({"ports": [{"containerPort": 80}]}));
    let once = applied(&json!({}), &config, "me").expect("alone");
    assert_eq!(applied(&once, &config, "me").expect("alone"), once);
}

#[test]
fn sets_of_fields_survive_their_written_form() {
    let object = json!({
        "metadata": {"labels": {"a": "b"}, "finalizers": ["x/y"]},
        "spec": {"template": {"spec": {"containers": [
            {"name": "app", "ports": [{"containerPort": 80}], "args": ["a"], "resources": {}},
        ]}}},
    });
    let set = FieldSet::of(&object, schema::root("Deployment"));
    assert_eq!(FieldSet::from_json(&set.to_json()), set);
    let ports = r#"/f:spec/f:template/f:spec/f:containers/k:{"name":"app"}/f:ports"#;
    assert_eq!(
        set.to_json().pointer(ports),
        Some(&json!({"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}))
    );
    assert_eq!(
        set.to_json().pointer("/f:metadata"),
        Some(&json!({
            "f:labels": {"f:a": {}}, "f:finalizers": {"v:\"x/y\"": {}},
        }))
    );
}
