//! A process that is killed at any point: the next one finishes or undoes it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use plimsoll_model::{Event, Strategy};
use plimsoll_rollout_core::machine::End;
use plimsoll_rollout_core::{Plan, State, execute, unfinished};

use crate::scene::{Scene, ready, release};

/// A future that is dropped after it was polled so many times.
struct Killed<F>(Option<Pin<Box<F>>>, usize);

impl<F: Future> Future for Killed<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.1 == 0 {
            self.0 = None;
            return Poll::Ready(None);
        }
        self.1 -= 1;
        let Some(inner) = &mut self.0 else { return Poll::Ready(None) };
        inner.as_mut().poll(context).map(Some)
    }
}

/// Runs with a new process each time, killed after `polls`, until one ends.
async fn to_its_end(scene: &Scene, strategy: Strategy, compare_sec: u32, polls: usize) -> (End, usize) {
    let mut record = scene.record(strategy, Some(1), 9);
    record.deadlines.compare_sec = compare_sec;
    for process in 1..60 {
        let (plan, state) = match unfinished(&*scene.ledger.lock().unwrap()).unwrap() {
            Some(left) => (left.plan, left.state),
            None => (record.clone(), State::new()),
        };
        // Each process takes the lock anew, and has seen nothing.
        scene.fence.store(process, Ordering::SeqCst);
        let target = scene.target();
        let plan = Plan::simulated(plan);
        let polls = if process > 40 { usize::MAX } else { polls };
        let run = execute(&plan, state, scene.ports(&target));
        if let Some(ended) = Killed(Some(Box::pin(run)), polls).await {
            return (ended.unwrap().end, usize::try_from(process).unwrap());
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn a_process_killed_anywhere_is_gone_on_from() {
    let mut killed = 0;
    for strategy in [Strategy::Rolling, Strategy::BlueGreen] {
        for (polls, compare_sec) in [(11, 0), (37, 0), (67, 0), (151, 0), (23, 3), (90, 3), (211, 3)] {
            let scene = Scene::new();
            let (end, processes) = to_its_end(&scene, strategy, compare_sec, polls).await;
            killed += processes - 1;
            let notes = scene.notes.lock().unwrap().clone();
            assert_eq!(end, End::Committed, "{strategy}, {polls} polls: {notes:#?}");
            assert_eq!(scene.image(), release(9).image.to_string());
            assert_eq!(ready(&scene.cluster), 3);
            assert_eq!(scene.cluster.list("deployments", "shop").len(), 1);
            let ledger = scene.ledger.lock().unwrap();
            let ends = ledger.iter().filter(|event| matches!(event, Event::RolloutFinished { .. }));
            assert_eq!(ends.count(), 1);
        }
    }
    assert!(killed >= 15, "{killed} processes were killed");
}

#[tokio::test]
async fn what_was_killed_can_be_undone() {
    for strategy in [Strategy::Rolling, Strategy::BlueGreen] {
        let scene = Scene::new();
        let plan = Plan::simulated(scene.record(strategy, Some(1), 9));
        let target = scene.target();
        let run = execute(&plan, State::new(), scene.ports(&target));
        assert!(Killed(Some(Box::pin(run)), 60).await.is_none());
        drop(target);
        let left = unfinished(&*scene.ledger.lock().unwrap()).unwrap().unwrap();
        scene.fence.store(2, Ordering::SeqCst);
        scene.interrupt.store(true, Ordering::SeqCst);
        let target = scene.target();
        let outcome = execute(&plan, left.state, scene.ports(&target)).await.unwrap();
        assert_eq!(outcome.end, End::Reverted, "{:?}", outcome.state);
        assert_eq!(scene.image(), release(1).image.to_string());
        assert_eq!(scene.cluster.list("deployments", "shop").len(), 1);
    }
}
