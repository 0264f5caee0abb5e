//! A cluster: whether it answers, what it allows, and whether a rollout could
//! begin.

use plimsoll_config::{Environment, Kubernetes, MetricsVia};
use plimsoll_model::{Diagnose as _, Failure};
use plimsoll_rollout_kubernetes::{KubernetesTarget, Operation, Options, Survey};

use super::{Finding, limited, missing, works};
use crate::commands::runtime;

/// What is found about one environment. What rests on something that is missing
/// is not looked at.
pub(super) fn findings(environment: &Environment, kubernetes: &Kubernetes) -> Result<Vec<Finding>, Failure> {
    let options = Options {
        context: kubernetes.context.clone(),
        workload: kubernetes.deployment.clone(),
        container: kubernetes.container.clone(),
        container_is_named: kubernetes.container_is_named,
        login_timeout: kubernetes.login_timeout,
        service: kubernetes.service.clone(),
        compare: environment.watch.as_ref().is_some_and(|watch| !watch.metrics.is_empty()),
        proxy: kubernetes.metrics_via == MetricsVia::Api,
        jobs: kubernetes.migrate.is_some(),
        ..Options::new(&environment.name, &kubernetes.namespace, &kubernetes.deployment)
    };
    runtime()?.block_on(async {
        let target = KubernetesTarget::open(options);
        let label = format!("cluster of {}", environment.name);
        let survey = match target.survey(environment.strategy).await {
            Ok(survey) => survey,
            Err(error) => {
                return Ok(vec![missing(label, error.to_string(), error.hint().unwrap_or_default())]);
            }
        };
        let by = match &kubernetes.context {
            Some(context) => format!("by context {context}"),
            None => "by the kubeconfig's current context".into(),
        };
        let version =
            if survey.version.is_empty() { "of a version it does not tell" } else { &survey.version };
        let found = format!("{version} at {}, {by}", survey.server);
        let mut findings = vec![works(label, found), rules(&environment.name, kubernetes, &survey)];
        if survey.missing.is_empty() {
            findings.push(rollout(&target, environment, kubernetes).await);
        }
        Ok(findings)
    })
}

fn rules(environment: &str, kubernetes: &Kubernetes, survey: &Survey) -> Finding {
    let label = format!("rules of {environment}");
    let words =
        |operations: &[Operation]| operations.iter().map(Operation::words).collect::<Vec<_>>().join(", ");
    let at = format!("in namespace {}", kubernetes.namespace);
    let hint =
        format!("apply the Role of `plimsoll init --kubernetes {environment}`, bound to whoever runs this");
    match (survey.missing.is_empty(), survey.wanted.is_empty()) {
        (false, nothing_wanted) => {
            let mut found = format!("not allowed {at}: {}", words(&survey.missing));
            if !nothing_wanted {
                found.push_str(&format!("; of use besides: {}", words(&survey.wanted)));
            }
            missing(label, found, hint)
        }
        (true, false) => {
            let found =
                format!("not allowed {at}, so that less is seen and explained: {}", words(&survey.wanted));
            limited(label, found, hint)
        }
        (true, true) if survey.unsaid > 0 => {
            let found = format!("{} of {} could not be asked about", survey.unsaid, survey.asked);
            limited(label, found, format!("`kubectl -n {} auth can-i --list` tells", kubernetes.namespace))
        }
        (true, true) => works(label, format!("all {} {at}", survey.asked)),
    }
}

/// The same check that a rollout makes before anything moves.
async fn rollout(target: &KubernetesTarget, environment: &Environment, kubernetes: &Kubernetes) -> Finding {
    let label = format!("environment {}", environment.name);
    let found = format!("{} in namespace {}", kubernetes.deployment, kubernetes.namespace);
    let drain_sec = u32::try_from(environment.bounds.drain.as_secs()).unwrap_or(u32::MAX);
    match target.check(environment.strategy, drain_sec).await {
        Ok(warnings) if warnings.is_empty() => works(label, found),
        Ok(warnings) => limited(label, found, warnings.join("; ")),
        Err(error) => {
            let mut said = error.to_string();
            if let Some(instead) = error.found() {
                said.push_str(&format!("; found {instead}"));
            }
            missing(label, said, error.hint().unwrap_or_default())
        }
    }
}
