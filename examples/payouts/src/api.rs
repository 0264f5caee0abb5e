//! The endpoints, as `openapi.json` describes them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::defaults;
use crate::http::{Request, Response};
use crate::json::Value;
use crate::log::{Level, log};
use crate::metrics::Metrics;
use crate::outside::{Fortnite, Payer};
use crate::server::asked;
use crate::store::{NotNow, Payout, Store};

/// The commit this was built from; Plimsoll sets `PLIMSOLL_COMMIT` for the
/// build command.
pub const COMMIT: &str = match option_env!("PLIMSOLL_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The contract, word for word.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// Rows that a list answers at most.
const MAX_LIMIT: usize = 100;

/// The service.
pub struct App {
    store: Mutex<Store>,
    payer: Payer,
    fortnite: Fortnite,
    metrics: Metrics,
    ready_requires_payer: bool,
    admin_token: Option<String>,
    log_requests: bool,
    started: AtomicBool,
    stopping: OnceLock<Instant>,
}

impl App {
    /// A service that is alive and not ready yet.
    pub fn new(config: &Config) -> Self {
        Self {
            store: Mutex::new(Store::new(defaults::MAX_ROWS)),
            payer: Payer::new(config.payer_fail_ratio, config.payer_delay),
            fortnite: Fortnite::new(config.fortnite_fail_ratio),
            metrics: Metrics::default(),
            ready_requires_payer: config.ready_requires_payer,
            admin_token: config.admin_token.clone(),
            log_requests: config.log_requests,
            started: AtomicBool::new(false),
            stopping: OnceLock::new(),
        }
    }

    /// From now on it may be ready.
    pub fn started(&self) {
        self.started.store(true, Relaxed);
    }

    /// From now on it is not ready, and answers close their connections.
    pub fn stopping(&self) {
        self.stopping.get_or_init(Instant::now);
    }

    /// Whether it is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get().is_some()
    }

    /// For how long it has been stopping.
    pub fn stopping_for(&self) -> Option<Duration> {
        self.stopping.get().map(Instant::elapsed)
    }

    /// Counts an answer, and logs it where it matters.
    pub fn answered(&self, request: Option<&Request>, response: &Response, took: Duration) {
        self.metrics.request(response.status);
        let (level, message) = match response.status {
            503 | ..500 if !self.log_requests => return,
            ..500 => (Level::Info, "answered"),
            _ => (Level::Warn, "failed"),
        };
        let [method, path] = asked(request);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        log(
            level,
            message,
            &[method, path, ("code", u64::from(response.status).into()), ("took_us", took.into())],
        );
    }

    /// Answers a request.
    pub fn handle(&self, request: &Request) -> Response {
        let parts: Vec<_> = request.path.split('/').skip(1).collect();
        let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
        let allowed = match parts.as_slice() {
            ["healthz" | "readyz" | "metrics" | "version" | "openapi.json"] | ["v1", "accruals"] => {
                "GET, HEAD"
            }
            ["v1", "payouts"] => "GET, HEAD, POST",
            ["v1", "kills"] | ["v1", "admin", "payouts", _, "retry"] => "POST",
            _ => return Response::error(404, "not_found", "there is no such path; see /openapi.json"),
        };
        match (method, parts.as_slice()) {
            ("GET", ["healthz"]) => Response::json(200, &Value::object([("status", "alive".into())])),
            ("GET", ["readyz"]) => self.readyz(),
            ("GET", ["metrics"]) => {
                Response::text("text/plain; version=0.0.4; charset=utf-8", self.metrics.text())
            }
            ("GET", ["version"]) => Response::json(
                200,
                &Value::object([
                    ("name", env!("CARGO_PKG_NAME").into()),
                    ("version", env!("CARGO_PKG_VERSION").into()),
                    ("commit", COMMIT.into()),
                ]),
            ),
            ("GET", ["openapi.json"]) => Response::text("application/json", OPENAPI),
            ("GET", ["v1", "accruals"]) => {
                self.list(request, "accruals", |store, player, limit| values(store.accruals(player, limit)))
            }
            ("GET", ["v1", "payouts"]) => {
                self.list(request, "payouts", |store, player, limit| values(store.payouts(player, limit)))
            }
            ("POST", ["v1", "kills"]) => self.kills(request).unwrap_or_else(|refusal| refusal),
            ("POST", ["v1", "payouts"]) => self.payout(request).unwrap_or_else(|refusal| refusal),
            ("POST", ["v1", "admin", "payouts", id, "retry"]) => {
                self.retry(request, id).unwrap_or_else(|refusal| refusal)
            }
            _ => {
                let response = Response::error(405, "method_not_allowed", &format!("allowed: {allowed}"));
                Response { allow: Some(allowed.into()), ..response }
            }
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readyz(&self) -> Response {
        let reason = if self.is_stopping() {
            Some("stopping")
        } else if !self.started.load(Relaxed) {
            Some("starting")
        } else if self.ready_requires_payer && !self.payer.works() {
            Some("the payer refuses every payment")
        } else {
            None
        };
        let body = Value::object([("ready", reason.is_none().into()), ("reason", reason.into())]);
        Response::json(if reason.is_none() { 200 } else { 503 }, &body)
    }

    fn list(
        &self,
        request: &Request,
        name: &str,
        rows: impl Fn(&Store, Option<&str>, usize) -> Value,
    ) -> Response {
        let (mut player, mut limit) = (None, MAX_LIMIT);
        for pair in request.query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("player", value)) if is_player(value) => player = Some(value),
                Some(("limit", value)) => match value.parse() {
                    Ok(number @ 1..=MAX_LIMIT) => limit = number,
                    _ => return invalid("`limit` must be a whole number from 1 to 100"),
                },
                Some(("player", _)) => return invalid(PLAYER),
                _ => return invalid("only `player` and `limit` can be asked for"),
            }
        }
        Response::json(200, &Value::object([(name, rows(&self.store(), player, limit))]))
    }

    fn kills(&self, request: &Request) -> Result<Response, Response> {
        let (player, body) = player(request, &["player", "count"])?;
        let count = body.get("count").and_then(Value::whole).filter(|count| (1..=1_000).contains(count));
        let count = count.ok_or_else(|| invalid("`count` must be a whole number from 1 to 1000"))?;
        if let Err(refused) = self.fortnite.confirm(&player, count) {
            self.metrics.fortnite_errors.fetch_add(1, Relaxed);
            return Err(Response::error(502, "fortnite_failed", refused.0));
        }
        let row = self.store().accrue(&player, count, count * defaults::CENTS_PER_KILL);
        self.metrics.accrual_rows.fetch_add(1, Relaxed);
        Ok(Response::json(201, &Value::from(&row)))
    }

    fn payout(&self, request: &Request) -> Result<Response, Response> {
        let (player, _) = player(request, &["player"])?;
        let payout = self.store().begin(&player);
        let payout = payout.ok_or_else(|| {
            Response::error(409, "nothing_to_pay", "the player has no accrual that is not in a payout")
        })?;
        Ok(Response::json(201, &Value::from(&self.attempt(payout).0)))
    }

    fn retry(&self, request: &Request, id: &str) -> Result<Response, Response> {
        if let Some(token) = &self.admin_token {
            let given = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
            if !given.is_some_and(|given| same(given.as_bytes(), token.as_bytes())) {
                return Err(Response::error(401, "unauthorized", "a bearer token is needed"));
            }
        }
        let unknown = || Response::error(404, "unknown_payout", "there is no such payout");
        let id = id.parse().map_err(|_| unknown())?;
        let payout = self.store().begin_again(id).map_err(|why| match why {
            NotNow::Unknown => unknown(),
            NotNow::Status(status) => {
                Response::error(409, "not_failed", &format!("the payout is {}", status.as_str()))
            }
        })?;
        let (payout, paid) = self.attempt(payout);
        count(paid, &self.metrics.retries_ok, &self.metrics.retries_failed);
        Ok(Response::json(200, &Value::from(&payout)))
    }

    /// Asks the payer, without holding the store meanwhile: a pending payout
    /// belongs to whoever made it pending.
    fn attempt(&self, payout: Payout) -> (Payout, bool) {
        let outcome = self.payer.pay(&payout.player, payout.amount_cents);
        count(outcome.is_ok(), &self.metrics.payouts_ok, &self.metrics.payouts_failed);
        let settled = self.store().settle(payout, outcome.as_ref().err().map(|refused| refused.0));
        (settled, outcome.is_ok())
    }
}

fn count(ok: bool, good: &AtomicU64, bad: &AtomicU64) {
    if ok { good } else { bad }.fetch_add(1, Relaxed);
}

fn values<'r, T: 'r>(rows: Vec<&'r T>) -> Value
where
    Value: From<&'r T>,
{
    Value::List(rows.into_iter().map(Value::from).collect())
}

fn invalid(message: &str) -> Response {
    Response::error(422, "invalid", message)
}

const PLAYER: &str = "`player` must be 1 to 64 letters, digits, `-`, `_` or `.`";

fn is_player(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// The body's player, and the whole body, which has no other members than `known`.
fn player(request: &Request, known: &[&str]) -> Result<(String, Value), Response> {
    let text = std::str::from_utf8(&request.body)
        .map_err(|_| Response::error(400, "bad_json", "the body is not UTF-8"))?;
    let body = Value::parse(text).map_err(|why| Response::error(400, "bad_json", why))?;
    let Value::Object(members) = &body else { return Err(invalid("the body must be an object")) };
    if let Some((name, _)) = members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        let name: String = name.chars().take(40).collect();
        return Err(invalid(&format!("unknown member `{name}`")));
    }
    let player = body.get("player").and_then(Value::text).filter(|player| is_player(player));
    let player = player.ok_or_else(|| invalid(PLAYER))?.to_owned();
    Ok((player, body))
}

/// Compares without telling by its time how much was right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(variables: &[(&str, &str)]) -> App {
        let get = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let app = App::new(&Config::from_env(&get).unwrap_or_else(|error| panic!("{error}")));
        app.started();
        app
    }

    fn ask(app: &App, method: &str, target: &str, body: &str) -> (u16, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Request {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            headers: Vec::new(),
            body: body.into(),
            keep_alive: true,
        };
        let response = app.handle(&request);
        let text = String::from_utf8(response.body).expect("UTF-8");
        (response.status, Value::parse(&text).unwrap_or(Value::Text(text)))
    }

    fn metric(app: &App, series: &str) -> u64 {
        let text = app.metrics.text();
        let line =
            text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("{series}"));
        line.trim().parse().expect("a number")
    }

    #[test]
    fn kills_become_a_payout() {
        let app = app(&[]);
        let (status, row) = ask(&app, "POST", "/v1/kills", r#"{"player":"ada","count":3}"#);
        assert_eq!((status, row.get("amount_cents").and_then(Value::whole)), (201, Some(15)));
        ask(&app, "POST", "/v1/kills", r#"{"player":"ada","count":1}"#);
        let (status, payout) = ask(&app, "POST", "/v1/payouts", r#"{"player":"ada"}"#);
        assert_eq!((status, payout.get("status").and_then(Value::text)), (201, Some("paid")));
        assert_eq!(payout.get("amount_cents").and_then(Value::whole), Some(20));
        assert_eq!(ask(&app, "POST", "/v1/payouts", r#"{"player":"ada"}"#).0, 409);
        assert_eq!(ask(&app, "POST", "/v1/admin/payouts/1/retry", "").0, 409);
        assert_eq!(ask(&app, "POST", "/v1/admin/payouts/2/retry", "").0, 404);
        let (_, list) = ask(&app, "GET", "/v1/accruals?player=ada&limit=1", "");
        assert!(matches!(list.get("accruals"), Some(Value::List(rows)) if rows.len() == 1));
        assert_eq!(metric(&app, "accrual_rows_created_total"), 2);
        assert_eq!(metric(&app, "payout_attempts_total{result=\"ok\"}"), 1);
    }

    #[test]
    fn failed_payouts_can_be_retried() {
        let app = app(&[("PAYER_FAIL_RATIO", "0.7")]);
        ask(&app, "POST", "/v1/kills", r#"{"player":"ada","count":1}"#);
        // With 0.7 the calls go: paid, refused, refused, paid.
        ask(&app, "POST", "/v1/payouts", r#"{"player":"ada"}"#);
        ask(&app, "POST", "/v1/kills", r#"{"player":"ada","count":1}"#);
        let (status, payout) = ask(&app, "POST", "/v1/payouts", r#"{"player":"ada"}"#);
        assert_eq!((status, payout.get("status").and_then(Value::text)), (201, Some("failed")));
        assert_eq!(payout.get("failure").and_then(Value::text), Some("the payer refused the payment"));
        let again = |status: &str| {
            let (code, payout) = ask(&app, "POST", "/v1/admin/payouts/2/retry", "");
            assert_eq!((code, payout.get("status").and_then(Value::text)), (200, Some(status)));
        };
        again("failed");
        again("paid");
        assert_eq!(metric(&app, "payout_attempts_total{result=\"failed\"}"), 2);
        assert_eq!(metric(&app, "admin_payout_retry_total{result=\"failed\"}"), 1);
        assert_eq!(metric(&app, "admin_payout_retry_total{result=\"ok\"}"), 1);
    }

    #[test]
    fn failing_statistics_accrue_nothing() {
        let app = app(&[("FORTNITE_FAIL_RATIO", "1")]);
        assert_eq!(ask(&app, "POST", "/v1/kills", r#"{"player":"ada","count":1}"#).0, 502);
        assert_eq!(metric(&app, "fortnite_errors_total"), 1);
        assert_eq!(metric(&app, "accrual_rows_created_total"), 0);
    }

    #[test]
    fn readiness() {
        let reason = |app: &App| {
            let (status, body) = ask(app, "GET", "/readyz", "");
            (status, body.get("reason").and_then(Value::text).map(str::to_owned))
        };
        let broken = [("PAYER_FAIL_RATIO", "1"), ("READY_REQUIRES_PAYER", "true")];
        assert_eq!(reason(&app(&[])), (200, None));
        assert_eq!(reason(&app(&broken[..1])), (200, None));
        assert_eq!(reason(&app(&broken)), (503, Some("the payer refuses every payment".into())));
        let starting = App::new(&Config::from_env(&|_| None).unwrap_or_else(|error| panic!("{error}")));
        assert_eq!(reason(&starting), (503, Some("starting".into())));
        let stopping = app(&[]);
        stopping.stopping();
        assert_eq!(reason(&stopping), (503, Some("stopping".into())));
        assert_eq!(ask(&stopping, "GET", "/healthz", "").0, 200);
    }

    #[test]
    fn bad_requests_are_told_why() {
        let app = app(&[("ADMIN_TOKEN", "secret")]);
        for (status, method, target, body) in [
            (404, "GET", "/", ""),
            (404, "GET", "/v1/kills/", ""),
            (405, "GET", "/v1/kills", ""),
            (405, "DELETE", "/v1/payouts", ""),
            (400, "POST", "/v1/kills", ""),
            (422, "POST", "/v1/kills", "[]"),
            (422, "POST", "/v1/kills", r#"{"player":"ada"}"#),
            (422, "POST", "/v1/kills", r#"{"player":"ada","count":0}"#),
            (422, "POST", "/v1/kills", r#"{"player":"ada","count":1.5}"#),
            (422, "POST", "/v1/kills", r#"{"player":"a b","count":1}"#),
            (422, "POST", "/v1/kills", r#"{"player":"ada","count":1,"x":1}"#),
            (422, "GET", "/v1/accruals?limit=0", ""),
            (422, "GET", "/v1/accruals?limit=101", ""),
            (422, "GET", "/v1/accruals?x=1", ""),
            (422, "GET", "/v1/payouts?player=%20", ""),
            (401, "POST", "/v1/admin/payouts/1/retry", ""),
        ] {
            let (found, value) = ask(&app, method, target, body);
            assert_eq!(found, status, "{method} {target} {body}");
            assert!(value.get("error").and_then(|error| error.get("message")).is_some());
        }
    }

    /// The contract and the router know the same paths, methods and answers.
    #[test]
    fn the_contract_is_what_is_served() {
        let document = Value::parse(OPENAPI).expect("openapi.json is JSON");
        assert_eq!(document.get("openapi").and_then(Value::text), Some("3.1.0"));
        let version = document.get("info").and_then(|info| info.get("version")).and_then(Value::text);
        assert_eq!(version, Some(env!("CARGO_PKG_VERSION")));
        let Some(Value::Object(paths)) = document.get("paths") else { panic!("no paths") };
        let app = app(&[]);
        let mut described = Vec::new();
        for (path, operations) in paths {
            let Value::Object(operations) = operations else { panic!("{path}") };
            for (method, operation) in operations {
                let method = method.to_uppercase();
                let target = path.replace("{id}", "1");
                let (status, _) = ask(&app, &method, &target, "{}");
                let responses = operation.get("responses").expect("responses");
                assert!(responses.get(&status.to_string()).is_some(), "{method} {path} answers {status}");
                described.push(format!("{method} {path}"));
            }
            // What is not described is not served.
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                if operations.iter().all(|(known, _)| known.to_uppercase() != method) {
                    assert_eq!(ask(&app, method, &path.replace("{id}", "1"), "{}").0, 405, "{method} {path}");
                }
            }
        }
        described.sort_unstable();
        assert_eq!(
            described,
            [
                "GET /healthz",
                "GET /metrics",
                "GET /openapi.json",
                "GET /readyz",
                "GET /v1/accruals",
                "GET /v1/payouts",
                "GET /version",
                "POST /v1/admin/payouts/{id}/retry",
                "POST /v1/kills",
                "POST /v1/payouts",
            ]
        );
    }
}
