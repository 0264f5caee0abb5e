//! `[policy]` and `[environments.<name>.policy]`: what a deployment demands of
//! the evidence (POL-1).

use std::time::Duration;

use crate::table::Table;
use crate::values;

/// What the absence of a kind of evidence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// `off`: nothing.
    Off,
    /// `warn`: it is said, and the deployment goes on.
    Warn,
    /// `require`: the deployment is refused.
    Require,
}

impl Demand {
    fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Require => "require",
        }
    }
}

/// What a deployment demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// An attested SBOM. Default: warn.
    pub sbom: Demand,
    /// Attested provenance. Default: warn.
    pub provenance: Demand,
    /// Builders (`runDetails.builder.id`) whose provenance counts. Default: any.
    pub builders: Vec<String>,
    /// The build's record, attested. Default: off.
    pub record: Demand,
    /// An attested rebuild. Default: off.
    pub rebuild: Demand,
    /// The API's snapshot, attested. Default: off without `[contract]`, warn with.
    pub contract: Option<Demand>,
    /// The migrations, attested. Default: off without `[migrations]`, warn with.
    pub migrations: Option<Demand>,
    /// What it means that the release breaks clients of the API. Default: warn.
    pub api_break: Demand,
    /// What it means that the version says less than what changed. Default:
    /// require where clients break, else warn.
    pub version: Option<Demand>,
    /// A scan for advisories. Default: off without `[sbom] advisories`, warn with.
    pub scan: Option<Demand>,
    /// How long an override counts. Default: 24h.
    pub override_for: Duration,
}

impl Default for Policy {
    /// What holds where `[policy]` says nothing.
    fn default() -> Self {
        Self {
            sbom: Demand::Warn,
            provenance: Demand::Warn,
            builders: Vec::new(),
            record: Demand::Off,
            rebuild: Demand::Off,
            contract: None,
            migrations: None,
            api_break: Demand::Warn,
            version: None,
            scan: None,
            override_for: Duration::from_secs(24 * 3600),
        }
    }
}

const DEMANDS: [(&str, Demand); 3] =
    [("off", Demand::Off), ("warn", Demand::Warn), ("require", Demand::Require)];

/// `[policy]`.
pub(crate) fn policy(mut table: Table<'_>) -> Option<Policy> {
    let demand = values::choice(&DEMANDS);
    let default = Policy::default();
    let sbom = table.or("sbom", default.sbom.as_str(), &demand);
    let provenance = table.or("provenance", default.provenance.as_str(), &demand);
    let builders =
        table.or("builders", "[]", values::list("[\"https://ci.example.com/builder\"]", values::words));
    let record = table.or("record", default.record.as_str(), &demand);
    let rebuild = table.or("rebuild", default.rebuild.as_str(), &demand);
    let contract = table.opt("contract", &demand);
    let migrations = table.opt("migrations", &demand);
    let api_break = table.or("api_break", default.api_break.as_str(), &demand);
    let version = table.opt("version", &demand);
    let scan = table.opt("scan", &demand);
    let override_for = table.or("override_for", "24h", values::some_time);
    table.finish();
    Some(Policy {
        sbom: sbom?,
        provenance: provenance?,
        builders: builders?,
        record: record?,
        rebuild: rebuild?,
        contract,
        migrations,
        api_break: api_break?,
        version,
        scan,
        override_for: override_for?,
    })
}

/// `[environments.<name>.policy]`: what is not said there is as in `[policy]`.
pub(crate) fn of_environment(table: Option<Table<'_>>, general: &Policy) -> Option<Policy> {
    let Some(mut table) = table else { return Some(general.clone()) };
    let demand = values::choice(&DEMANDS);
    let sbom = table.or("sbom", general.sbom.as_str(), &demand);
    let provenance = table.or("provenance", general.provenance.as_str(), &demand);
    let builders = table.opt("builders", values::list("[\"https://ci.example.com/builder\"]", values::words));
    let record = table.or("record", general.record.as_str(), &demand);
    let rebuild = table.or("rebuild", general.rebuild.as_str(), &demand);
    let contract = table.opt("contract", &demand);
    let migrations = table.opt("migrations", &demand);
    let api_break = table.or("api_break", general.api_break.as_str(), &demand);
    let version = table.opt("version", &demand);
    let scan = table.opt("scan", &demand);
    table.finish();
    Some(Policy {
        sbom: sbom?,
        provenance: provenance?,
        builders: builders.unwrap_or_else(|| general.builders.clone()),
        record: record?,
        rebuild: rebuild?,
        contract: contract.or(general.contract),
        migrations: migrations.or(general.migrations),
        api_break: api_break?,
        version: version.or(general.version),
        scan: scan.or(general.scan),
        override_for: general.override_for,
    })
}
