//! What runs on a connection.

use std::time::Duration;

use libp2p::{
    PeerId, gossipsub, identify,
    identity::Keypair,
    kad::{self, store::MemoryStoreConfig},
    ping, relay,
    request_response::{self, ProtocolSupport},
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use super::{
    Config, NetError, Part,
    address::is_webrtc,
    protocol::{Codec, Names},
    scoped::Scoped,
};
use crate::digest::Digest;

/// The swarm's behaviour; `X` is the caller's own.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour<X: NetworkBehaviour> {
    pub(crate) identify: Scoped<identify::Behaviour>,
    pub(crate) ping: Scoped<ping::Behaviour>,
    pub(crate) relay_client: Toggle<Scoped<relay::client::Behaviour>>,
    pub(crate) kademlia: Scoped<kad::Behaviour<kad::store::MemoryStore>>,
    pub(crate) gossip: Scoped<gossipsub::Behaviour>,
    pub(crate) blocks: Scoped<request_response::Behaviour<Codec>>,
    pub(crate) streams: Scoped<libp2p_stream::Behaviour>,
    pub(crate) extra: X,
}

impl<X: NetworkBehaviour> Behaviour<X> {
    #[inline(never)]
    pub(crate) fn new(
        key: &Keypair,
        config: &Config,
        names: &Names,
        relay_client: Option<relay::client::Behaviour>,
        extra: X,
    ) -> Result<Self, NetError> {
        let local = key.public().to_peer_id();
        let identify = identify::Config::new(names.version.clone(), key.public())
            .with_agent_version(config.agent.clone())
            .with_push_listen_addr_updates(true)
            // Addresses are kept by the driver, which prefers WebRTC.
            .with_cache_size(0);
        let ping = ping::Config::new()
            .with_interval(config.ping_interval)
            .with_timeout(config.ping_timeout);
        let protocols = [(names.blocks.clone(), ProtocolSupport::Full)];
        let blocks = request_response::Config::default()
            .with_request_timeout(REQUEST_TIMEOUT)
            .with_max_concurrent_streams(MAX_STREAMS);
        Ok(Self {
            // Who connects over WebRTC has been identified on the circuit.
            identify: Scoped::everywhere(identify::Behaviour::new(identify))
                .after_on(is_webrtc, LATER),
            ping: Scoped::everywhere(ping::Behaviour::new(ping)).after(LATER),
            relay_client: relay_client.map(Scoped::everywhere).into(),
            kademlia: Scoped::direct(kademlia(local, config, names)),
            gossip: Scoped::direct(gossip(key.clone(), names)?).after(LATER),
            blocks: Scoped::direct(request_response::Behaviour::with_codec(
                Codec, protocols, blocks,
            )),
            streams: Scoped::direct(libp2p_stream::Behaviour::new()),
            extra,
        })
    }
}

#[inline(never)]
fn kademlia(
    local: PeerId,
    config: &Config,
    names: &Names,
) -> kad::Behaviour<kad::store::MemoryStore> {
    let mut kademlia = kad::Config::new(names.kademlia.clone());
    kademlia
        .set_provider_record_ttl(Some(config.record_ttl))
        .set_provider_publication_interval(Some(config.record_ttl / 3))
        .set_query_timeout(Duration::from_secs(20))
        .set_periodic_bootstrap_interval(
            (config.part == Part::Relay).then_some(Duration::from_secs(60)),
        );
    let limits = MemoryStoreConfig {
        max_records: 0,
        max_provided_keys: 4096,
        max_providers_per_key: MAX_PROVIDERS,
        ..MemoryStoreConfig::default()
    };
    let store = kad::store::MemoryStore::with_config(local, limits);
    let mut kademlia = kad::Behaviour::with_config(local, store, kademlia);
    // Explicit: rust-libp2p turns a browser into a server as soon as its circuit address is confirmed.
    kademlia.set_mode(Some(if config.part == Part::Relay {
        kad::Mode::Server
    } else {
        kad::Mode::Client
    }));
    kademlia
}

#[inline(never)]
fn gossip(key: Keypair, names: &Names) -> Result<gossipsub::Behaviour, NetError> {
    let config = gossipsub::ConfigBuilder::default()
        .heartbeat_interval(Duration::from_secs(1))
        // Degrees for small meshes of weak nodes. Source: field notes §4.
        .mesh_n_low(3)
        .mesh_n(4)
        .mesh_n_high(8)
        .mesh_outbound_min(1)
        .flood_publish(true)
        .max_transmit_size(MAX_GOSSIP)
        .connection_handler_queue_len(MAX_QUEUED)
        .validation_mode(gossipsub::ValidationMode::Permissive)
        .validate_messages()
        // The same packet is the same message, whoever publishes it.
        .message_id_fn(|message| {
            gossipsub::MessageId::from(Digest::sha256(&message.data).as_bytes().to_vec())
        })
        .build()
        .map_err(|e| NetError::Gossip(e.to_string()))?;
    let mut gossip = gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Signed(key), config)
        .map_err(|e| NetError::Gossip(e.into()))?;
    gossip
        .subscribe(&names.packets)
        .map_err(|e| NetError::Gossip(e.to_string()))?;
    Ok(gossip)
}

/// Age of a connection at which gossip, pings and what else can wait begin on it. Guess: a newcomer has met the others
/// by then.
const LATER: Duration = Duration::from_millis(300);
/// Time for the answer to a block request. Guess: an offer of 10 MB over a slow line.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Inbound block requests served at once on one connection.
const MAX_STREAMS: usize = 64;
/// Members that a relay names for one key. Source: their addresses fit Kademlia's 16 KiB message.
const MAX_PROVIDERS: usize = 48;
/// Gossip messages that wait for one neighbour who does not read, 16 MiB at most; further ones are lost to it. Guess: what a
/// second of a busy mesh brings.
const MAX_QUEUED: usize = 256;
/// Largest gossip message in bytes: a flooded packet and gossipsub's own fields.
const MAX_GOSSIP: usize = 64 * 1024;
