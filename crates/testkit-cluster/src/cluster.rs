//! A running cluster, as a test holds it.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use crate::api::access::Forbid;
use crate::api::admission::{Verdict, Webhook};
use crate::api::{Actor, DeleteOptions, PatchType, Review, WriteOptions};
use crate::failure::Failure;
use crate::faults::{Chaos, Seen, When};
use crate::kinds::{Kind, by_any_name, by_name};
use crate::kubelet::Behaviour;
use crate::object::{self, text};
use crate::server;
use crate::settings::{Node, Pace, Settings};
use crate::store::Key;
use crate::tls::Certificate;
use crate::world::{User, World};

/// No helper waits longer than this in virtual time.
const MOST_MILLISECONDS: u64 = 24 * 60 * 60 * 1000;

/// A running cluster. It stops when this is dropped.
///
/// The server runs on a thread of its own, so that tests with and without a
/// runtime can use it. Times are virtual milliseconds.
pub struct Cluster {
    world: Arc<Mutex<World>>,
    address: SocketAddr,
    certificate: Option<Certificate>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The world, also after a test has panicked while it held it.
pub(crate) fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How busy the server is, for time that moves when nobody asks anything.
#[derive(Debug)]
pub(crate) struct Activity {
    state: Mutex<(usize, Instant)>,
}

impl Activity {
    fn new() -> Self {
        Self { state: Mutex::new((0, Instant::now())) }
    }

    fn state(&self) -> MutexGuard<'_, (usize, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is at work until the answer is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.state().0 += 1;
        Busy(self.clone())
    }

    fn is_quiet_for(&self, quiet: Duration) -> bool {
        let state = self.state();
        state.0 == 0 && state.1.elapsed() >= quiet
    }
}

/// A request at work.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.0 -= 1;
        state.1 = Instant::now();
    }
}

impl Cluster {
    /// A cluster with the namespaces and nodes of `settings`.
    pub fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let address = listener.local_addr().expect("a bound socket has an address");
        let certificate = settings.tls.then(Certificate::new);
        let acceptor = certificate.as_ref().map(Certificate::acceptor);
        let pace = settings.pace;
        let world = Arc::new(Mutex::new(World::new(settings)));
        let (stop, stopped) = watch::channel(false);
        let served = world.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.expect("a runtime can be built");
            let activity = Arc::new(Activity::new());
            runtime.block_on(async move {
                let clock = tokio::spawn(keep_time(served.clone(), pace, activity.clone()));
                server::serve(served, listener, acceptor, activity, stopped).await;
                clock.abort();
            });
        });
        Self { world, address, certificate, stop, thread: Some(thread) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// `http://127.0.0.1:<port>`, or `https:`.
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The authority that a client has to trust, in PEM; none without TLS.
    pub fn authority(&self) -> Option<&str> {
        self.certificate.as_ref().map(|certificate| certificate.pem.as_str())
    }

    /// A kubeconfig with one context, `test`, in the namespace `shop`; without
    /// a user.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_with("{}")
    }

    /// The same for whoever has this token.
    pub fn kubeconfig_for(&self, token: &str) -> String {
        self.kubeconfig_with(&format!("{{token: {token:?}}}"))
    }

    /// The same with these fields of a user, in YAML's flow form, e.g.
    /// `{exec: {…}}`.
    pub fn kubeconfig_with(&self, user: &str) -> String {
        let authority = self.certificate.as_ref().map_or_else(String::new, |certificate| {
            format!(", certificate-authority-data: {}", certificate.base64())
        });
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters:\n- name: test\n  cluster: {{server: \
             {:?}{authority}}}\nusers:\n- name: test\n  user: {user}\ncontexts:\n- name: test\n  context: {{cluster: \
             test, user: test, namespace: shop}}\n",
            self.url()
        )
    }

    // Objects.

    /// Makes or changes objects as `kubectl apply --server-side --force-conflicts`
    /// does, one per YAML document.
    ///
    /// # Panics
    /// When the text is no manifest or is refused.
    pub fn apply_yaml(&self, manifests: &str) -> Vec<Value> {
        let documents = manifests.split("\n---").filter(|document| !document.trim().is_empty());
        documents
            .map(|document| {
                let object: Value = serde_saphyr::from_str(document.trim_start_matches("---"))
                    .unwrap_or_else(|error| panic!("the manifest is no YAML: {error}\n{document}"));
                self.apply_json(object)
            })
            .collect()
    }

    /// The same for one object.
    ///
    /// # Panics
    /// As above.
    pub fn apply_json(&self, object: Value) -> Value {
        self.apply_as("kubectl", object, true).unwrap_or_else(|failure| panic!("it was refused: {failure}"))
    }

    /// Applies an object as this field manager.
    ///
    /// # Errors
    /// What the server would answer.
    pub fn apply_as(&self, manager: &str, object: Value, force: bool) -> Result<Value, Failure> {
        let (api_version, name) =
            (text(&object, "/apiVersion").to_owned(), text(&object, "/kind").to_owned());
        let kind = by_name(&api_version, &name)
            .unwrap_or_else(|| panic!("no kind {name} of {api_version} is served"));
        let namespace = match object::namespace(&object) {
            "" => "shop",
            named => named,
        };
        let key = Key::new(kind, namespace, object::name(&object));
        let options = WriteOptions { actor: Actor::admin(), force, ..WriteOptions::system(manager) };
        let mut world = self.world();
        let result = world.patch(kind, &key, PatchType::Apply, &object, &options);
        world.written();
        result
    }

    /// Changes an object as somebody else does, e.g. `kubectl-edit`.
    ///
    /// # Panics
    /// When there is no such object or the change is refused.
    pub fn edit_as(
        &self,
        manager: &str,
        kind: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Value {
        let key = key(kind, namespace, name);
        let mut world = self.world();
        let options = WriteOptions { actor: Actor::admin(), ..WriteOptions::system(manager) };
        let result = world.edit(&key, &options, change);
        world.written();
        result.unwrap_or_else(|failure| panic!("the edit was refused: {failure}"))
    }

    /// As [`Cluster::edit_as`], of `status`.
    ///
    /// # Panics
    /// As there.
    pub fn edit_status_as(
        &self,
        manager: &str,
        kind: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Value {
        let key = key(kind, namespace, name);
        let mut world = self.world();
        let result = world.edit(&key, &WriteOptions::system(manager).on("status"), change);
        world.written();
        result.unwrap_or_else(|failure| panic!("the edit was refused: {failure}"))
    }

    /// Deletes an object in the background, as `kubectl delete --wait=false`.
    ///
    /// # Errors
    /// What the server would answer.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<Value, Failure> {
        let key = key(kind, namespace, name);
        let options = DeleteOptions { propagation: "Background".into(), ..DeleteOptions::default() };
        let who = WriteOptions { actor: Actor::admin(), ..WriteOptions::system("kubectl") };
        let mut world = self.world();
        let result = world.delete(key.kind, &key, &options, &who);
        world.written();
        result
    }

    /// An object; null where there is none.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Value {
        self.world().store.get(&key(kind, namespace, name)).map_or(Value::Null, |object| Value::clone(object))
    }

    /// All objects of a kind in a namespace; everywhere where it is empty.
    pub fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let kind = named(kind);
        self.world().store.list(kind, namespace).map(|(_, object)| Value::clone(object)).collect()
    }

    /// Pods of a namespace whose label has this value.
    pub fn pods(&self, namespace: &str, label: &str, value: &str) -> Vec<Value> {
        let mut pods = self.list("pods", namespace);
        pods.retain(|pod| object::label(pod, label) == value);
        pods
    }

    /// Events about an object, oldest first: `Reason: message`.
    pub fn events(&self, kind: &str, name: &str) -> Vec<String> {
        let mut events: Vec<Value> = self
            .list("events", "")
            .into_iter()
            .filter(|event| {
                text(event, "/involvedObject/kind").eq_ignore_ascii_case(kind)
                    && text(event, "/involvedObject/name").starts_with(name)
            })
            .collect();
        events.sort_by_key(|event| text(event, "/metadata/resourceVersion").parse::<u64>().unwrap_or(0));
        events
            .iter()
            .map(|event| format!("{}: {}", text(event, "/reason"), text(event, "/message")))
            .collect()
    }

    /// The newest revision.
    pub fn revision(&self) -> u64 {
        self.world().store.revision()
    }

    /// Forgets all history: watches and pages from before get 410.
    pub fn compact(&self) {
        self.world().store.compact();
    }

    // Time.

    /// Virtual milliseconds since 1970.
    pub fn now(&self) -> u64 {
        self.world().now
    }

    /// Lets this many virtual milliseconds pass; everything that is due
    /// happens in order.
    pub fn advance(&self, milliseconds: u64) {
        let mut world = self.world();
        let target = world.now + milliseconds;
        world.advance_to(target);
    }

    /// Lets the controllers work until nothing changes. No time passes.
    pub fn settle(&self) {
        self.world().settle();
    }

    /// Lets time pass, from event to event, until `condition` holds. Answers
    /// how many virtual milliseconds that took.
    ///
    /// # Panics
    /// When it does not hold after `within` milliseconds.
    pub fn settle_until(&self, within: u64, condition: impl Fn(&Self) -> bool) -> u64 {
        let start = self.now();
        let end = start + within.min(MOST_MILLISECONDS);
        self.settle();
        while !condition(self) {
            let mut world = self.world();
            let next = world.next_timer();
            match next.filter(|next| *next <= end) {
                Some(next) => world.advance_to(next),
                None => panic!("the condition did not hold within {within} ms of virtual time"),
            }
        }
        self.now() - start
    }

    // Images and nodes.

    /// What containers of an image do. The longest reference wins that is the
    /// image's own or ends before its `@` or `:`; without any, an image starts
    /// after a second and is ready.
    pub fn image(&self, reference: &str, behaviour: Behaviour) {
        self.world().kubelet.behave(reference, behaviour);
    }

    /// The same for containers that have this word in their command or arguments:
    /// what a Job of a service's own image does.
    pub fn image_given(&self, reference: &str, argument: &str, behaviour: Behaviour) {
        self.world().kubelet.behave_given(reference, argument, behaviour);
    }

    /// One more machine.
    pub fn add_node(&self, node: &Node) {
        let mut world = self.world();
        let object = node.to_object(world.now);
        let status = object["status"].clone();
        world.make("nodes", "", object, &WriteOptions::system("kubelet"));
        // It was made just now.
        drop(world.edit(
            &key("nodes", "", &node.name),
            &WriteOptions::system("kubelet").on("status"),
            |node| {
                node["status"] = status;
            },
        ));
        world.settle();
    }

    /// A machine goes silent: after a while its pods count as lost.
    pub fn lose_node(&self, name: &str) {
        self.world().lose_node(name);
    }

    /// A silent machine is back.
    pub fn return_node(&self, name: &str) {
        self.world().return_node(name);
    }

    // Who may do what.

    /// Whoever has this token is this user. Only members of `system:masters`
    /// may do everything; others need roles.
    pub fn add_user(&self, token: &str, user: &str, groups: &[&str]) {
        let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        groups.push("system:authenticated".into());
        let actor = Actor { user: user.into(), groups };
        self.world().users.insert(token.into(), User { actor, expired: false });
    }

    /// From now on this token is answered with 401.
    pub fn expire_token(&self, token: &str) {
        if let Some(user) = self.world().users.get_mut(token) {
            user.expired = true;
        }
    }

    /// Refuses with 403 what `forbid` matches, whoever asks.
    pub fn forbid(&self, forbid: Forbid) {
        self.world().forbidden.push(forbid);
    }

    /// Refuses nothing by script any more.
    pub fn allow_all(&self) {
        self.world().forbidden.clear();
    }

    /// A validating webhook that is a function.
    pub fn webhook(&self, name: &str, judge: impl Fn(&Review<'_>) -> Verdict + Send + Sync + 'static) {
        self.world().webhooks.push(Webhook { name: name.into(), judge: Arc::new(judge) });
    }

    /// No webhooks any more.
    pub fn remove_webhooks(&self) {
        self.world().webhooks.clear();
    }

    /// Sends a body to the first webhook of a registered configuration, as the API
    /// server would if it sent such a thing: under the registered bundle. The
    /// head says `length` bytes, whatever is sent. Status and body of the answer.
    ///
    /// # Errors
    /// There is no such webhook, it is not trusted, or it does not answer within
    /// 30 s.
    pub fn send_to_webhook(
        &self,
        configurations: &str,
        name: &str,
        body: &[u8],
        length: usize,
    ) -> Result<(u16, Vec<u8>), String> {
        let webhook = self.get(configurations, "", name)["webhooks"][0].clone();
        let url = text(&webhook, "/clientConfig/url");
        crate::api::calling::exchange(&webhook, url, body, length, Duration::from_secs(30))
    }

    // What goes wrong.

    /// Requests with this method whose path and query contain `path`.
    pub fn fault(&self, method: &str, path: &str) -> When {
        When { world: self.world.clone(), method: method.into(), path: path.into(), skip: 0, times: 1 }
    }

    /// What goes wrong by chance from now on.
    pub fn chaos(&self, chaos: Chaos) {
        self.world().faults.chaos = chaos;
    }

    /// Everything that is wrong is right again; what is stalled goes on.
    pub fn heal(&self) {
        let mut world = self.world();
        let faults = &mut world.faults;
        faults.rules.clear();
        faults.chaos = Chaos::default();
        faults.lag = 0;
        faults.away_until = 0;
        faults.watches.delay = 0;
        faults.watches.lose = 0;
        faults.watches.silent = false;
        faults.watches.cut = false;
        faults.watches.refuse = false;
        world.notify();
        world.faults.released.send_modify(|count| *count += 1);
    }

    /// Stalled requests go on.
    pub fn release(&self) {
        self.world().faults.released.send_modify(|count| *count += 1);
    }

    /// Waits in real time until so many requests are stalled.
    pub async fn until_stalled(&self, requests: usize) {
        let mut stalled = self.world().faults.stalled.subscribe();
        // An error means that the world is gone.
        let _ = stalled.wait_for(|count| *count >= requests).await;
    }

    /// Lists that may be answered from a cache are so many revisions old.
    pub fn stale_reads(&self, revisions: u64) {
        self.world().faults.lag = revisions;
    }

    /// The server cannot be reached for so many virtual milliseconds: open
    /// connections break, new ones are reset.
    pub fn away(&self, milliseconds: u64) {
        let mut world = self.world();
        world.faults.away_until = world.now + milliseconds;
        let until = world.faults.away_until;
        world.wake_at(until);
        world.faults.broken.send_modify(|count| *count += 1);
    }

    /// Breaks every open connection, once.
    pub fn break_connections(&self) {
        self.world().faults.broken.send_modify(|count| *count += 1);
    }

    /// Events come so many virtual milliseconds late.
    pub fn delay_watches(&self, milliseconds: u64) {
        self.world().faults.watches.delay = milliseconds;
    }

    /// So many events are never told.
    pub fn lose_events(&self, events: usize) {
        self.world().faults.watches.lose = events;
    }

    /// Streams stay open and say nothing until [`Cluster::heal`].
    pub fn silence_watches(&self) {
        self.world().faults.watches.silent = true;
    }

    /// Open streams end without a word.
    pub fn drop_watches(&self) {
        let mut world = self.world();
        world.faults.watches.dropped += 1;
        world.notify();
    }

    /// Open streams are told 410 and end; history is forgotten.
    pub fn expire_watches(&self) {
        let mut world = self.world();
        world.store.compact();
        world.faults.watches.expired += 1;
        world.notify();
    }

    /// New watches are refused with HTTP status 410 until [`Cluster::heal`].
    pub fn refuse_watches(&self) {
        self.world().faults.watches.refuse = true;
    }

    /// The next event is cut in the middle, and its connection reset.
    pub fn cut_next_event(&self) {
        self.world().faults.watches.cut = true;
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.world().requests.clone()
    }

    /// Requests so far with this method whose path contains `path`.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let matches = |seen: &&Seen| seen.method == method && seen.path.contains(path);
        self.world().requests.iter().filter(matches).count()
    }

    pub(crate) fn shared(&self) -> &Arc<Mutex<World>> {
        &self.world
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The receiver is gone when the thread has ended by itself.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the server's thread does not panic");
            }
        }
    }
}

fn named(kind: &str) -> &'static Kind {
    by_any_name(kind).unwrap_or_else(|| panic!("no kind {kind} is served"))
}

fn key(kind: &str, namespace: &str, name: &str) -> Key {
    Key::new(named(kind), namespace, name)
}

async fn keep_time(world: Arc<Mutex<World>>, pace: Pace, activity: Arc<Activity>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    let start = Instant::now();
    let began = lock(&world).now;
    loop {
        ticks.tick().await;
        match pace {
            Pace::Manual => return,
            Pace::Real { speed } => {
                let passed = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                let mut world = lock(&world);
                let target = began + passed.saturating_mul(u64::from(speed));
                world.advance_to(target);
            }
            Pace::WhenIdle { quiet_ms } => {
                let quiet = Duration::from_millis(quiet_ms);
                if activity.is_quiet_for(quiet) {
                    lock(&world).hop();
                    // What happened is told first.
                    activity.state().1 = Instant::now();
                }
            }
        }
    }
}
