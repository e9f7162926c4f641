//! `chorus-relay run`: the relay itself.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use chorus_core::net::{Event, Handle, Part};
use futures::StreamExt;
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior},
};

use crate::{
    behaviour::{Listening, RelayServer, RelayServerConfig},
    bootstrap::Bootstrap,
    cmd::{Failure, Termination, flush, keypair, open_store, print_line, usage},
    config::Config,
    http::{self, Page, Phase, Site},
    metrics::Metrics,
    node::{self, Setup, libp2p_keypair, net_config, order_for_dialling},
    store::{Bounds, NodeStore},
};

/// Runs a relay until SIGTERM or SIGINT.
///
/// # Errors
/// The store is not usable, an address cannot be listened on, or the node ends by itself.
pub(crate) async fn run(config: Config, page: Option<PathBuf>) -> Result<(), Failure> {
    let bounds = Bounds {
        max_bytes: config.store.max_bytes,
        max_blocks: config.store.max_blocks,
    };
    let (store, secrets) = open_store(&config.data_dir, bounds)?;
    let mut termination = Termination::listen()?;
    let metrics = Metrics::default();
    let store = NodeStore::new(store, metrics.clone());
    let http = HttpListeners::bind(&config).await?;

    let key = keypair(&secrets);
    let peer_id = libp2p_keypair(&key)?.public().to_peer_id();
    let external = config.external_addrs().map_err(usage)?;
    let listen = config.listen_addrs().map_err(usage)?;
    let reachable = if external.is_empty() {
        listen.clone()
    } else {
        external.clone()
    };
    let server = RelayServerConfig {
        listen,
        external: external.clone(),
        connections: config.connections.clone(),
        circuits: config.circuits.clone(),
    };
    let (extra, listening) = RelayServer::new(peer_id, server, metrics.clone());
    let mut net = net_config(Part::Relay, &config.network, config.store.max_object_bytes);
    let bootstraps = config.bootstraps().map_err(usage)?;
    let (known, unknown) = resolve(bootstraps, &config.network).await;
    net.bootstrap = known;
    let setup = Setup {
        key,
        certificate: Some(secrets.certificate.to_string()),
        traffic: metrics.traffic.clone(),
        store: Box::new(store.clone()),
        extra,
    };
    drop(secrets);
    let mut node = node::start(net, setup)?;

    let (phase, phase_receiver) = watch::channel(Phase::Starting);
    let announced = Announced { peer_id, external };
    let (addrs, addrs_receiver) = watch::channel(Vec::new());
    let site = Arc::new(Site {
        network: config.network.clone(),
        peer_id: peer_id.to_string(),
        addrs: addrs_receiver,
        phase: phase_receiver.clone(),
        page: page_source(page),
        metrics,
    });
    let (urls, servers) = http.serve(&site, &phase_receiver);

    let mut background = JoinSet::new();
    background.spawn(announce(announced.clone(), listening.clone(), addrs));
    background.spawn(purge(store.clone()));
    background.spawn(log_store_failures(node.handle.clone()));
    for bootstrap in unknown {
        background.spawn(keep_connected(
            node.handle.clone(),
            bootstrap,
            config.network.clone(),
        ));
    }
    let listening = tokio::select! {
        up = all_up(listening) => up?,
        () = termination.asked() => Listening::default(),
    };
    if listening.waiting == 0 && !listening.addrs.is_empty() {
        phase.send_replace(Phase::Ready);
        print_line(&announced.ready_line(&listening, &urls))?;
        tracing::info!(%peer_id, http = %urls.page, "ready");
        if urls.is_public && reachable.iter().all(is_loopback) {
            tracing::warn!(
                "other hosts can load the page but not reach this relay: give --listen or --external an address of theirs"
            );
        }
        tokio::select! {
            () = termination.asked() => {}
            ended = &mut node.driver => {
                ended?;
                return Err(Failure::Failed("the node ended by itself".into()));
            }
        }
    }
    tracing::info!("draining");
    phase.send_replace(Phase::Draining);
    background.shutdown().await;
    let drained = async {
        for server in servers {
            // A server that panicked has stopped serving too.
            let _ = server.await;
        }
    };
    // Both at once: a slow download must not keep peers from learning that the relay goes.
    let (_, ()) = tokio::join!(tokio::time::timeout(DRAIN_TIMEOUT, drained), node.close());
    flush(&store);
    Ok(())
}

/// The page in the binary; else the directory named on the command line or in the environment; else where
/// `cargo xtask run` leaves it.
fn page_source(page: Option<PathBuf>) -> Page {
    if let Some(dir) = page.or_else(|| std::env::var_os("CHORUS_PAGE_DIR").map(PathBuf::from)) {
        return Page::Directory(dir);
    }
    Page::embedded().unwrap_or_else(|| Page::Directory(development_page()))
}

#[cfg(debug_assertions)]
fn development_page() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/page"))
}

/// A released binary names no directory of the machine that built it.
#[cfg(not(debug_assertions))]
fn development_page() -> PathBuf {
    PathBuf::from("target/page-release")
}

/// The HTTP listeners, bound before anything is announced.
struct HttpListeners {
    page: TcpListener,
    page_addr: SocketAddr,
    metrics: Option<(TcpListener, SocketAddr)>,
}

/// Where the HTTP listeners are reached.
struct Urls {
    page: String,
    metrics: Option<String>,
    /// Other hosts reach the page.
    is_public: bool,
}

impl HttpListeners {
    async fn bind(config: &Config) -> Result<Self, Failure> {
        let (page, page_addr) = bind(config.http_addr().map_err(usage)?).await?;
        let metrics = match config.metrics_addr().map_err(usage)? {
            Some(addr) => Some(bind(addr).await?),
            None => None,
        };
        Ok(Self {
            page,
            page_addr,
            metrics,
        })
    }

    fn serve(
        self,
        site: &Arc<Site>,
        phase: &watch::Receiver<Phase>,
    ) -> (Urls, Vec<JoinHandle<()>>) {
        let own = self.metrics.as_ref().map(|(_, addr)| *addr);
        let beside = http::metrics_beside_page(self.page_addr, own);
        let mut servers = vec![tokio::spawn(http::serve(
            self.page,
            http::site_router(site.clone(), beside),
            phase.clone(),
            site.metrics.http_refused.clone(),
        ))];
        if let Some((listener, _)) = self.metrics {
            servers.push(tokio::spawn(http::serve(
                listener,
                http::metrics_router(site.clone()),
                phase.clone(),
                site.metrics.http_refused.clone(),
            )));
        }
        let metrics = own
            .or(beside.then_some(self.page_addr))
            .map(|addr| format!("http://{addr}/metrics"));
        (
            Urls {
                page: format!("http://{}", self.page_addr),
                metrics,
                is_public: !self.page_addr.ip().is_loopback(),
            },
            servers,
        )
    }
}

async fn bind(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let fail = |error: std::io::Error| Failure::Failed(format!("http {addr}: {error}"));
    let listener = TcpListener::bind(addr).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok((listener, bound))
}

/// What the relay says about where it is.
#[derive(Clone)]
struct Announced {
    peer_id: PeerId,
    external: Vec<Multiaddr>,
}

impl Announced {
    /// Addresses for others, best first: the external ones if there are any, else the listen addresses.
    fn addrs(&self, listening: &Listening) -> Vec<Multiaddr> {
        let addrs = if self.external.is_empty() {
            &listening.addrs
        } else {
            &self.external
        };
        addrs.iter().map(|addr| self.with_peer_id(addr)).collect()
    }

    /// The ready line: every address that works, listen addresses first, WebSocket before the rest.
    fn ready_line(&self, listening: &Listening, urls: &Urls) -> String {
        let addrs: Vec<_> = listening
            .addrs
            .iter()
            .chain(&self.external)
            .map(|addr| self.with_peer_id(addr).to_string())
            .collect();
        let mut line = json!({
            "event": "ready",
            "peer_id": self.peer_id.to_string(),
            "http": urls.page,
            "addrs": addrs,
        });
        if let Some(metrics) = &urls.metrics {
            line["metrics"] = json!(metrics);
        }
        line.to_string()
    }

    fn with_peer_id(&self, addr: &Multiaddr) -> Multiaddr {
        match addr.iter().last() {
            Some(Protocol::P2p(_)) => addr.clone(),
            _ => addr.clone().with(Protocol::P2p(self.peer_id)),
        }
    }
}

/// Whether only this host can dial `addr`.
fn is_loopback(addr: &Multiaddr) -> bool {
    addr.iter().any(|protocol| match protocol {
        Protocol::Ip4(ip) => ip.is_loopback(),
        Protocol::Ip6(ip) => ip.is_loopback(),
        _ => false,
    })
}

/// Waits until every listener is up.
async fn all_up(mut listening: watch::Receiver<Listening>) -> Result<Listening, Failure> {
    let settled = |listening: &Listening| listening.failed.is_some() || listening.waiting == 0;
    match tokio::time::timeout(LISTEN_TIMEOUT, listening.wait_for(settled)).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) => return Err(Failure::Failed("the node ended before it listened".into())),
        Err(_) => {
            let secs = LISTEN_TIMEOUT.as_secs();
            return Err(Failure::Failed(format!("listeners not up within {secs} s")));
        }
    }
    // A listener on 0.0.0.0 reports one address per interface, one after the other.
    listening.mark_unchanged();
    while let Ok(Ok(())) = tokio::time::timeout(INTERFACE_TIMEOUT, listening.changed()).await {}
    let listening = listening.borrow();
    match &listening.failed {
        Some(failed) => Err(Failure::Failed(format!("cannot listen on {failed}"))),
        None => Ok(listening.clone()),
    }
}

/// Keeps what is announced over HTTP in step with the listeners.
async fn announce(
    announced: Announced,
    mut listening: watch::Receiver<Listening>,
    addrs: watch::Sender<Vec<Multiaddr>>,
) {
    loop {
        let now = announced.addrs(&listening.borrow_and_update());
        addrs.send_replace(now);
        if listening.changed().await.is_err() {
            return;
        }
    }
}

async fn purge(store: NodeStore) {
    let mut ticks = tokio::time::interval(PURGE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let store = store.clone();
        // Off the threads that carry connections: it waits for the disk.
        match tokio::task::spawn_blocking(move || store.purge()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(n)) => tracing::debug!(blocks = n, "expired"),
            Ok(Err(error)) => tracing::error!(%error, "store"),
            Err(error) => tracing::error!(%error, "store"),
        }
    }
}

/// Logs what the node could not store: the first failure at once, then one a minute with how many there were.
async fn log_store_failures(handle: Handle) {
    let Ok(mut events) = handle.events().await else {
        return; // The node is closed.
    };
    let mut silent_until = Instant::now();
    let mut unlogged = 0_u64;
    while let Some(event) = events.next().await {
        if let Event::StoreFailed(error) = event {
            unlogged += 1;
            if Instant::now() >= silent_until {
                tracing::error!(%error, failures = unlogged, "store");
                silent_until = Instant::now() + PURGE_INTERVAL;
                unlogged = 0;
            }
        }
    }
}

/// The addresses of the bootstrap entries that answer now, and the entries that do not.
async fn resolve(entries: Vec<Bootstrap>, network: &str) -> (Vec<Multiaddr>, Vec<Bootstrap>) {
    let lookups = entries.into_iter().map(|entry| async move {
        let addrs = match &entry {
            Bootstrap::Addr(addr) => Ok(vec![addr.clone()]),
            Bootstrap::Url(_) => {
                match tokio::time::timeout(START_TIMEOUT, entry.resolve(network)).await {
                    Ok(Ok(addrs)) => Ok(order_for_dialling(addrs).await),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err(format!("{entry}: no answer yet")),
                }
            }
        };
        (entry, addrs)
    });
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for (entry, addrs) in futures::future::join_all(lookups).await {
        match addrs {
            Ok(addrs) => known.extend(addrs),
            Err(error) => {
                tracing::warn!(%error, "bootstrap; trying again");
                unknown.push(entry);
            }
        }
    }
    (known, unknown)
}

/// Finds, dials and redials a relay whose URL did not answer when this one started.
async fn keep_connected(handle: Handle, entry: Bootstrap, network: String) {
    let mut failures = 0;
    let mut connected = None;
    loop {
        let pause = RETRY_FIRST * 2u32.pow(failures);
        tokio::time::sleep_until(Instant::now() + pause).await;
        if let Some(peer) = connected {
            match handle.connections().await {
                Ok(open) if open.iter().any(|connection| connection.peer == peer) => continue,
                Ok(_) => connected = None,
                Err(_) => return, // The node is closed.
            }
        }
        match dial(&handle, &entry, &network).await {
            Ok(peer) => {
                tracing::info!(relay = %entry, "connected");
                connected = Some(peer);
                failures = 0;
            }
            Err(error) => {
                tracing::debug!(%error, "bootstrap");
                failures = (failures + 1).min(MAX_DOUBLINGS);
            }
        }
    }
}

async fn dial(handle: &Handle, entry: &Bootstrap, network: &str) -> Result<PeerId, String> {
    let addrs = entry
        .resolve(network)
        .await
        .map_err(|error| error.to_string())?;
    let mut reason = format!("{entry}: no address that a native peer can dial");
    for addr in order_for_dialling(addrs).await {
        let Some(Protocol::P2p(peer)) = addr.iter().last() else {
            continue;
        };
        match handle.dial(addr).await {
            Ok(()) => return Ok(peer),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
}

/// Time for the listeners to come up. Guess: the slowest, webrtc-direct, takes milliseconds.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which another interface reports its address. Guess: they come within a millisecond of each other.
const INTERFACE_TIMEOUT: Duration = Duration::from_millis(20);
/// Time for requests under way. Source: contract.md, exit within 5 s; `node.close` has 2 s beside it.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// Time between looks for expired blocks. Guess: reads skip expired blocks anyway.
const PURGE_INTERVAL: Duration = Duration::from_secs(60);
/// Time for a bootstrap URL to answer before the relay starts without it. Guess: readiness must not hang on others.
const START_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause before the first retry of a bootstrap URL, doubled up to 32 s. Guess: two relays started together meet at once.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// See [`RETRY_FIRST`].
const MAX_DOUBLINGS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn external_addresses_replace_listen_addresses_for_others_but_the_ready_line_has_both() {
        let peer_id = PeerId::random();
        let listening = Listening {
            addrs: vec![addr("/ip4/127.0.0.1/tcp/1/ws")],
            ..Listening::default()
        };
        let urls = Urls {
            page: "http://127.0.0.1:8080".into(),
            metrics: None,
            is_public: false,
        };
        let mut announced = Announced {
            peer_id,
            external: Vec::new(),
        };
        assert_eq!(
            announced.addrs(&listening),
            [addr(&format!("/ip4/127.0.0.1/tcp/1/ws/p2p/{peer_id}"))]
        );
        announced
            .external
            .push(addr("/dns4/relay.example/tcp/443/wss"));
        assert_eq!(
            announced.addrs(&listening),
            [addr(&format!(
                "/dns4/relay.example/tcp/443/wss/p2p/{peer_id}"
            ))]
        );
        let line: serde_json::Value =
            serde_json::from_str(&announced.ready_line(&listening, &urls)).unwrap();
        assert_eq!(
            line["addrs"][0],
            format!("/ip4/127.0.0.1/tcp/1/ws/p2p/{peer_id}")
        );
        assert_eq!(
            line["addrs"][1],
            format!("/dns4/relay.example/tcp/443/wss/p2p/{peer_id}")
        );
        assert!(line.get("metrics").is_none());
    }
}
