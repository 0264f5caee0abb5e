//! What is demanded of the evidence: from the configuration, and from what the
//! ledger says of the environment (POL-1, SIG-4).

use jiff::Timestamp;
use plimsoll_config::{Config, Policy};
use plimsoll_decision::{
    AdvisoryPolicy, AdvisorySeverity, Coverage, Demand, Escalated, Ignored, Override, PolicyFacts, Sample,
    Softened, VerificationMode, VerificationPolicy,
};
use plimsoll_ledger::Ledger;
use plimsoll_ledger::views::COVERAGE_WINDOW;
use plimsoll_model::{Commit, Failure};

/// The policy as configured, of an environment or in general, without what the
/// ledger knows.
pub(crate) fn configured(config: &Config, policy: &Policy) -> PolicyFacts {
    let verification = &config.verification;
    let sbom = &config.project.sbom;
    let with = |configured: bool| if configured { Demand::Warn } else { Demand::Off };
    let project = &config.project;
    PolicyFacts {
        verification: VerificationPolicy {
            mode: match verification.mode {
                plimsoll_config::VerificationMode::Soft => VerificationMode::Soft,
                plimsoll_config::VerificationMode::Mandatory => VerificationMode::Mandatory,
                plimsoll_config::VerificationMode::Auto => VerificationMode::Auto,
            },
            threshold: verification.threshold,
            min_samples: verification.min_samples,
            coverage: Coverage::default(),
        },
        sbom: demand(policy.sbom),
        provenance: demand(policy.provenance),
        builders: policy.builders.clone(),
        record: demand(policy.record),
        rebuild: demand(policy.rebuild),
        contract: policy.contract.map_or(with(project.contract.is_some()), demand),
        migrations: policy.migrations.map_or(with(project.migrations.is_some()), demand),
        api_break: demand(policy.api_break),
        version: policy.version.map(demand),
        advisories: AdvisoryPolicy {
            fail_on: sbom.policy.fail_on.map(severity),
            fixable_only: sbom.policy.fixable_only,
            ignore: sbom
                .policy
                .ignore
                .iter()
                .map(|ignored| Ignored {
                    id: ignored.id.clone(),
                    reason: ignored.reason.clone(),
                    until: ignored.until,
                })
                .collect(),
            scan: policy.scan.map_or(with(sbom.advisories.is_some()), demand),
            uncovered: demand(sbom.policy.uncovered),
            max_age_sec: sbom.policy.max_age.map(|age| age.as_secs()),
        },
        overrides: Vec::new(),
    }
}

fn demand(demand: plimsoll_config::Demand) -> Demand {
    match demand {
        plimsoll_config::Demand::Off => Demand::Off,
        plimsoll_config::Demand::Warn => Demand::Warn,
        plimsoll_config::Demand::Require => Demand::Require,
    }
}

fn severity(severity: plimsoll_config::Severity) -> AdvisorySeverity {
    match severity {
        plimsoll_config::Severity::Low => AdvisorySeverity::Low,
        plimsoll_config::Severity::Medium => AdvisorySeverity::Medium,
        plimsoll_config::Severity::High => AdvisorySeverity::High,
        plimsoll_config::Severity::Critical => AdvisorySeverity::Critical,
    }
}

/// How many of an environment's releases are signed, and what that led to.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) fn coverage(ledger: &Ledger, environment: &str) -> Result<Coverage, Failure> {
    let samples = ledger.signature_samples(environment, COVERAGE_WINDOW)?;
    let escalated = ledger.escalation(environment)?;
    let softened = ledger.softening(environment)?;
    Ok(Coverage {
        window: u32::try_from(COVERAGE_WINDOW).expect("the window is small"),
        samples: samples
            .into_iter()
            .map(|sample| Sample { sha: sample.sha, signed: sample.signed })
            .collect(),
        escalated: escalated.map(|escalation| Escalated { entry: escalation.entry, at: escalation.at }),
        softened: softened.map(|softening| Softened {
            entry: softening.entry,
            at: softening.at,
            by: softening.by,
            reason: softening.reason,
            until: softening.until,
        }),
    })
}

/// What somebody answers for, for a commit in an environment, at `now`.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) fn overrides(
    ledger: &Ledger,
    environment: &str,
    sha: &Commit,
    now: Timestamp,
) -> Result<Vec<Override>, Failure> {
    let approvals = ledger.approvals(environment, sha)?;
    let in_force = approvals.into_iter().filter(|approval| now < approval.until);
    Ok(in_force
        .map(|approval| Override {
            code: approval.code,
            reason: approval.reason,
            by: approval.by,
            at: approval.at,
            until: approval.until,
            entry: Some(approval.entry),
        })
        .collect())
}
