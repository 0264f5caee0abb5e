//! What goes wrong between here and the API server.

use plimsoll_model::Strategy;
use plimsoll_rollout_core::machine::End;
use plimsoll_testkit_cluster::{Chaos, Cluster, Fault, Settings};

use crate::scene::{Scene, release};

/// Rolls out while something goes wrong, and ends well all the same.
async fn ends_well(strategy: Strategy, act: impl FnMut(&Cluster, u64) + Send + 'static) -> Scene {
    let scene = Scene::new();
    scene.on_each_turn(act);
    let outcome = scene.roll(scene.record(strategy, Some(1), 9)).await.unwrap();
    let notes = scene.notes.lock().unwrap().clone();
    assert_eq!(outcome.end, End::Committed, "{:?}\n{notes:#?}", outcome.state.stop);
    assert_eq!(scene.image(), release(9).image.to_string());
    scene
}

#[tokio::test]
async fn streams_that_drop_expire_or_break_off() {
    ends_well(Strategy::Rolling, |cluster, turn| match turn % 9 {
        2 => cluster.drop_watches(),
        4 => cluster.expire_watches(),
        6 => cluster.cut_next_event(),
        8 => cluster.break_connections(),
        _ => {}
    })
    .await;
}

#[tokio::test]
async fn streams_that_say_nothing_are_found_out() {
    ends_well(Strategy::Rolling, |cluster, turn| {
        if turn == 5 {
            cluster.silence_watches();
        }
    })
    .await;
}

#[tokio::test]
async fn streams_that_are_refused_are_replaced_by_lists() {
    ends_well(Strategy::BlueGreen, |cluster, turn| {
        if turn == 0 {
            cluster.refuse_watches();
            cluster.drop_watches();
        }
    })
    .await;
}

#[tokio::test]
async fn an_api_server_that_is_away_for_half_a_minute() {
    for strategy in [Strategy::Rolling, Strategy::BlueGreen] {
        let scene = ends_well(strategy, |cluster, turn| {
            if turn == 10 {
                cluster.away(30_000);
            }
        })
        .await;
        let notes = scene.notes.lock().unwrap().join("\n");
        assert!(!notes.contains("going back"), "{notes}");
    }
}

#[tokio::test]
async fn requests_that_fail_or_whose_answers_are_lost() {
    for seed in 1..=4 {
        let scene = Scene::with(Settings { seed, ..Settings::default() });
        scene.cluster.chaos(Chaos {
            errors: 8,
            throttled: 4,
            resets: 6,
            lost_answers: 6,
            dropped_watches: 10,
        });
        let strategy = if seed % 2 == 0 { Strategy::Rolling } else { Strategy::BlueGreen };
        let outcome = scene.roll(scene.record(strategy, Some(1), 9)).await.unwrap();
        let notes = scene.notes.lock().unwrap().clone();
        assert_eq!(outcome.end, End::Committed, "seed {seed}: {:?}\n{notes:#?}", outcome.state.stop);
        scene.cluster.heal();
        assert_eq!(scene.image(), release(9).image.to_string());
    }
}

#[tokio::test]
async fn conflicts_are_decided_on_anew() {
    let scene = Scene::new();
    scene.cluster.fault("PATCH", "/deployments/payouts").times(3).then(Fault::Conflict);
    scene.cluster.fault("PATCH", "/services/payouts").times(2).then(Fault::Conflict);
    let outcome = scene.roll(scene.record(Strategy::BlueGreen, Some(1), 9)).await.unwrap();
    assert_eq!(outcome.end, End::Committed, "{:?}", outcome.state.stop);
}

#[tokio::test]
async fn a_login_page_is_no_cluster() {
    let scene = Scene::new();
    scene.cluster.fault("GET", "/").times(usize::MAX).then(Fault::Html);
    let error = scene.target().check(Strategy::Rolling, 10).await.unwrap_err();
    assert_eq!(plimsoll_model::Diagnose::code(&error), "KUB-014", "{error}");
}

#[tokio::test]
async fn a_token_that_expires_is_read_anew() {
    let scene = Scene::with(Settings { authentication: true, ..Settings::default() });
    scene.cluster.add_user("first", "ci", &["system:masters"]);
    scene.cluster.add_user("second", "ci", &["system:masters"]);
    std::fs::write(&scene.kubeconfig, scene.cluster.kubeconfig_for("first")).unwrap();
    let (kubeconfig, renewed) = (scene.kubeconfig.clone(), scene.cluster.kubeconfig_for("second"));
    scene.on_each_turn(move |cluster, turn| {
        if turn == 10 {
            cluster.expire_token("first");
            cluster.drop_watches();
        }
        // Somebody logs in again.
        if turn == 40 {
            std::fs::write(&kubeconfig, &renewed).unwrap();
        }
    });
    let outcome = scene.roll(scene.record(Strategy::Rolling, Some(1), 9)).await.unwrap();
    assert_eq!(outcome.end, End::Committed, "{:?}", outcome.state.stop);
}
