//! Real drivers on libp2p's memory transport: real noise, yamux, Kademlia, gossip and block streams.

use std::time::Duration;

use futures::{FutureExt, StreamExt, channel::mpsc, executor::block_on, future::Either};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, Transport,
    core::{transport::MemoryTransport, upgrade::Version},
    identity, noise, relay,
    swarm::{self, dummy},
    yamux,
};

use super::*;
use crate::{
    digest::ContentId,
    key::{Keypair, PeerId as CoreId},
    node::{self, Filter, NodeError},
};

fn swarm_config() -> swarm::Config {
    swarm::Config::with_executor(|task| drop(std::thread::spawn(move || block_on(task))))
}

fn parts<X: NetworkBehaviour>(key: &Keypair, extra: impl FnOnce(PeerId) -> X) -> Parts<X> {
    let identity = identity::Keypair::ed25519_from_bytes(key.seed().to_vec()).unwrap();
    let transport = MemoryTransport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&identity).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    Parts {
        transport,
        relay_client: None,
        extra: extra(identity.public().to_peer_id()),
        on_extra: Box::new(|_| {}),
        swarm: swarm_config(),
        store: Box::new(MemoryStore::new(64 << 20)),
        pause: no_pause(),
    }
}

fn address(port: u64, key: &Keypair) -> Multiaddr {
    format!("/memory/{port}/p2p/{}", key.peer_id())
        .parse()
        .unwrap()
}

fn start_relay(seed: u8, port: u64, bootstrap: Vec<Multiaddr>) -> (Handle, Multiaddr) {
    let key = Keypair::from_seed(&[seed; 32]);
    let own = address(port, &key);
    let listen: Multiaddr = format!("/memory/{port}").parse().unwrap();
    let config = Config {
        listen: vec![listen.clone()],
        external: vec![listen],
        bootstrap,
        ..Config::new(Part::Relay)
    };
    let parts = parts(&key, |id| {
        relay::Behaviour::new(id, relay::Config::default())
    });
    let (handle, driver) = new(key, config, parts).unwrap();
    std::thread::spawn(move || block_on(driver.run()));
    (handle, own)
}

fn start_peer(seed: u8, bootstrap: Vec<Multiaddr>) -> Handle {
    let key = Keypair::from_seed(&[seed; 32]);
    let config = Config {
        bootstrap,
        ..Config::new(Part::Headless)
    };
    let parts = parts(&key, |_| dummy::Behaviour);
    let (handle, driver) = new(key, config, parts).unwrap();
    std::thread::spawn(move || block_on(driver.run()));
    handle
}

/// Starts a peer that can be reached and reaches others by circuits.
fn start_behind_relay(seed: u8, bootstrap: Vec<Multiaddr>) -> Handle {
    let key = Keypair::from_seed(&[seed; 32]);
    let config = Config {
        bootstrap,
        ..Config::new(Part::Browser)
    };
    let identity = identity::Keypair::ed25519_from_bytes(key.seed().to_vec()).unwrap();
    let (circuits, client) = relay::client::new(identity.public().to_peer_id());
    let transport = circuits
        .or_transport(MemoryTransport::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&identity).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let parts = Parts {
        transport,
        relay_client: Some(client),
        ..parts(&key, |_| dummy::Behaviour)
    };
    let (handle, driver) = new(key, config, parts).unwrap();
    std::thread::spawn(move || block_on(driver.run()));
    handle
}

/// Waits for an event, at most twenty seconds.
async fn wait_for(
    events: &mut mpsc::Receiver<Event>,
    what: &str,
    wanted: impl Fn(&Event) -> bool,
) -> Event {
    let mut patience = Delay::new(Duration::from_secs(20)).fuse();
    loop {
        match futures::future::select(events.next(), &mut patience).await {
            Either::Left((Some(event), _)) if wanted(&event) => return event,
            Either::Left((Some(_), _)) => {}
            Either::Left((None, _)) => panic!("the driver ended before {what}"),
            Either::Right(_) => panic!("no {what} within 20 s"),
        }
    }
}

async fn wait_for_relay(handle: &Handle) -> CoreId {
    let mut events = handle.events().await.unwrap();
    if let Some(info) = handle
        .peers()
        .await
        .unwrap()
        .into_iter()
        .find(|p| p.role == node::Role::Relay)
    {
        return info.peer;
    }
    let is_relay = |e: &Event| matches!(e, Event::Node(node::Event::PeerChanged(p)) if p.role == node::Role::Relay);
    match wait_for(&mut events, "relay", is_relay).await {
        Event::Node(node::Event::PeerChanged(info)) => info.peer,
        _ => unreachable!(),
    }
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

#[test]
fn what_one_peer_shares_another_gets_through_the_relay_when_the_first_is_gone() {
    block_on(async {
        let (_relay, at) = start_relay(101, 7101, Vec::new());
        let (a, b) = (start_peer(102, vec![at.clone()]), start_peer(103, vec![at]));
        let relay = wait_for_relay(&a).await;
        let bytes = content(3_000_000);
        let packet = a
            .share_bytes(bytes.clone(), ShareOptions::new("file"))
            .await
            .unwrap();
        a.offer(relay, packet.cid()).await.unwrap();
        a.close().await;
        wait_for_relay(&b).await;
        let (got, content) = b.get(packet.cid()).await.unwrap();
        assert_eq!(got.cid(), packet.cid());
        assert_eq!(content, bytes);
        let known = b
            .query(Filter {
                packet_type: Some("file".into()),
                ..Filter::default()
            })
            .await
            .unwrap();
        assert_eq!(known.len(), 1);
    });
}

#[test]
fn what_is_prepared_leaves_byte_for_byte_and_not_before_it_is_published() {
    block_on(async {
        let peer = start_peer(104, Vec::new());
        let bytes = content(3_000_000);
        let prepared = peer.prepare(bytes.clone(), ShareOptions::new("file"));
        let prepared = prepared.unwrap();
        assert_eq!(peer.query(Filter::default()).await.unwrap(), []);
        let blocks: Vec<_> = prepared.blocks().map(<[u8]>::to_vec).collect();
        assert_eq!(blocks[..blocks.len() - 1].concat(), bytes);
        let form = prepared.as_cbor().to_vec();
        let all = form.len() + blocks.concat().len();
        assert_eq!(prepared.bytes(), all as u64);
        let packet = peer.publish(prepared).await.unwrap();
        assert_eq!(packet.as_cbor(), form);
        let (known, got) = peer.get(packet.cid()).await.unwrap();
        assert_eq!((known.as_cbor(), got), (&form[..], bytes));
    });
}

#[test]
fn small_packets_reach_peers_of_another_relay_by_gossip() {
    block_on(async {
        let (_one, first) = start_relay(111, 7111, Vec::new());
        let (_two, second) = start_relay(112, 7112, vec![first.clone()]);
        let (a, b) = (start_peer(113, vec![first]), start_peer(114, vec![second]));
        wait_for_relay(&a).await;
        wait_for_relay(&b).await;
        let mut events = b.events().await.unwrap();
        let packet = a
            .share_bytes(b"hello".to_vec(), ShareOptions::new("note"))
            .await
            .unwrap();
        let cid = packet.cid();
        let arrived = |e: &Event| matches!(e, Event::Node(node::Event::PacketReceived { packet, .. }) if packet.cid() == cid);
        wait_for(&mut events, "packet", arrived).await;
    });
}

#[test]
fn a_restarted_relay_is_found_again() {
    block_on(async {
        let (relay, at) = start_relay(121, 7121, Vec::new());
        let peer = start_peer(122, vec![at]);
        wait_for_relay(&peer).await;
        let mut events = peer.events().await.unwrap();
        relay.close().await;
        wait_for(&mut events, "loss", |e| {
            matches!(e, Event::Node(node::Event::PeerLeft(_)))
        })
        .await;
        let (_again, _) = start_relay(121, 7121, Vec::new());
        let back = |e: &Event| matches!(e, Event::Node(node::Event::PeerChanged(p)) if p.role == node::Role::Relay);
        wait_for(&mut events, "relay", back).await;
    });
}

#[test]
fn a_circuit_dialled_before_its_relay_is_connected_waits_for_it() {
    block_on(async {
        let (_relay, at) = start_relay(141, 7141, Vec::new());
        let listener = start_behind_relay(142, vec![at.clone()]);
        let mut events = listener.events().await.unwrap();
        wait_for(&mut events, "reservation", |e| {
            matches!(e, Event::Reserved(_))
        })
        .await;
        // Its relay is being dialled when the dialer hears of the circuit.
        let dialer = start_behind_relay(143, vec![at.clone()]);
        let circuit = format!("{at}/p2p-circuit/p2p/{}", listener.id());
        dialer.dial(circuit.parse().unwrap()).await.unwrap();
        let connections = dialer.connections().await.unwrap();
        assert!(connections.iter().any(|c| c.is_circuit), "{connections:?}");
    });
}

#[test]
fn a_circuit_whose_relay_is_gone_says_so() {
    block_on(async {
        let peer = start_behind_relay(151, Vec::new());
        let gone = address(7151, &Keypair::from_seed(&[152; 32]));
        let circuit = format!("{gone}/p2p-circuit/p2p/{}", peer.id());
        let failed = peer.dial(circuit.parse().unwrap()).await.unwrap_err();
        assert!(failed.to_string().contains("relay"), "{failed}");
    });
}

#[test]
fn what_nobody_has_is_not_found() {
    block_on(async {
        let peer = start_peer(131, Vec::new());
        let cid = ContentId::of(crate::digest::Codec::DagCbor, b"nobody has this");
        let wanted =
            futures::future::select(Box::pin(peer.get(cid)), Delay::new(Duration::from_secs(60)))
                .await;
        let Either::Left((Err(HandleError::Node(NodeError::NotFound { cid: missing, .. })), _)) =
            wanted
        else {
            panic!("found or hung");
        };
        assert_eq!(missing, cid);
    });
}

#[test]
fn a_bootstrap_address_without_a_peer_is_named() {
    let key = Keypair::from_seed(&[141; 32]);
    let config = Config {
        bootstrap: vec!["/memory/1".parse().unwrap()],
        ..Config::new(Part::Headless)
    };
    let parts = parts(&key, |_| dummy::Behaviour);
    let error = new(key, config, parts).map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bootstrap address /memory/1 does not end in /p2p/<peer id>"
    );
}
