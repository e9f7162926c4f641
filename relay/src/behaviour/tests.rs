use futures::{StreamExt, future::select_all};
use libp2p::{
    Swarm, identify, identity, ping,
    swarm::{self, SwarmEvent},
};

use super::*;
use crate::transport;

#[derive(NetworkBehaviour)]
struct RelayNode {
    server: RelayServer,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

#[derive(NetworkBehaviour)]
struct ClientNode {
    circuits: relay::client::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

struct RunningRelay {
    addr: Multiaddr,
    metrics: Metrics,
    task: tokio::task::JoinHandle<()>,
}

fn identify_with(keypair: &identity::Keypair) -> identify::Behaviour {
    identify::Behaviour::new(identify::Config::new("test".into(), keypair.public()))
}

fn quick_ping() -> ping::Behaviour {
    ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(20)))
}

fn relay_swarm(
    listen: &str,
    change: impl FnOnce(&mut ConnectionConfig, &mut CircuitConfig),
) -> (Swarm<RelayNode>, watch::Receiver<Listening>, Metrics) {
    let keypair = identity::Keypair::generate_ed25519();
    let peer_id = keypair.public().to_peer_id();
    let mut config = RelayServerConfig {
        listen: vec![listen.parse().unwrap()],
        external: Vec::new(),
        connections: ConnectionConfig::default(),
        circuits: CircuitConfig::default(),
    };
    change(&mut config.connections, &mut config.circuits);
    let metrics = Metrics::default();
    let (server, listening) = RelayServer::new(peer_id, config, metrics.clone());
    let (transport, _) = transport::build(&keypair, None, metrics.traffic.clone()).unwrap();
    let node = RelayNode {
        server,
        identify: identify_with(&keypair),
        ping: quick_ping(),
    };
    let config =
        swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60));
    (
        Swarm::new(transport, node, peer_id, config),
        listening,
        metrics,
    )
}

async fn start_relay(
    change: impl FnOnce(&mut ConnectionConfig, &mut CircuitConfig),
) -> RunningRelay {
    let (mut swarm, mut listening, metrics) = relay_swarm("/ip4/127.0.0.1/tcp/0/ws", change);
    let peer_id = *swarm.local_peer_id();
    let task = tokio::spawn(async move {
        loop {
            swarm.next().await;
        }
    });
    let listening = listening
        .wait_for(|l| l.waiting == 0)
        .await
        .unwrap()
        .clone();
    let addr = listening.addrs[0].clone().with_p2p(peer_id).unwrap();
    RunningRelay {
        addr,
        metrics,
        task,
    }
}

fn client() -> Swarm<ClientNode> {
    let keypair = identity::Keypair::generate_ed25519();
    let (transport, circuits) =
        transport::build(&keypair, None, crate::meter::Traffic::default()).unwrap();
    let node = ClientNode {
        circuits,
        identify: identify_with(&keypair),
        ping: quick_ping(),
    };
    let config =
        swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60));
    Swarm::new(transport, node, keypair.public().to_peer_id(), config)
}

/// A client that has asked for a reservation.
fn reserving_client(relay: &RunningRelay) -> Swarm<ClientNode> {
    let mut swarm = client();
    swarm
        .listen_on(
            relay
                .addr
                .clone()
                .with(libp2p::multiaddr::Protocol::P2pCircuit),
        )
        .unwrap();
    swarm
}

/// Drives all swarms until `done` is true of an event, with a deadline.
async fn until(
    swarms: &mut [Swarm<ClientNode>],
    mut done: impl FnMut(usize, SwarmEvent<ClientNodeEvent>) -> bool,
) {
    let run = async {
        loop {
            let events = swarms.iter_mut().map(|swarm| Box::pin(swarm.next()));
            let (event, index, _) = select_all(events).await;
            if done(index, event.unwrap()) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .expect("in time");
}

fn is_reserved(event: &SwarmEvent<ClientNodeEvent>) -> bool {
    matches!(
        event,
        SwarmEvent::Behaviour(ClientNodeEvent::Circuits(
            relay::client::Event::ReservationReqAccepted { .. }
        ))
    )
}

#[tokio::test]
async fn what_a_circuit_carries_is_counted_and_what_goes_to_the_relay_itself_is_not() {
    let relay = start_relay(|_, _| ()).await;
    let mut swarms = [reserving_client(&relay), client()];
    until(&mut swarms, |_, event| is_reserved(&event)).await;
    assert_eq!(relay.metrics.reservations.get(), 1);
    let reserved = relay.metrics.traffic.circuit.get();
    assert!(reserved < 500, "a reservation counts as {reserved} bytes");

    let relay_id = match relay.addr.iter().last() {
        Some(libp2p::multiaddr::Protocol::P2p(peer)) => peer,
        other => panic!("{other:?}"),
    };
    let mut pings = 0;
    until(&mut swarms, |index, event| {
        let ping = matches!(&event, SwarmEvent::Behaviour(ClientNodeEvent::Ping(e)) if e.peer == relay_id && e.result.is_ok());
        pings += usize::from(index == 0 && ping);
        pings == 5
    })
    .await;
    assert_eq!(
        relay.metrics.traffic.circuit.get(),
        reserved,
        "pings to the relay are no circuit"
    );
    assert!(relay.metrics.traffic.inbound.get() > reserved);

    let target = *swarms[0].local_peer_id();
    let through = relay
        .addr
        .clone()
        .with(libp2p::multiaddr::Protocol::P2pCircuit)
        .with_p2p(target)
        .unwrap();
    swarms[1].dial(through).unwrap();
    let mut pings = 0;
    until(&mut swarms, |_, event| {
        let ping = matches!(&event, SwarmEvent::Behaviour(ClientNodeEvent::Ping(e)) if e.peer == target && e.result.is_ok());
        pings += usize::from(ping);
        pings == 10
    })
    .await;
    assert_eq!(relay.metrics.circuits.get(), 1);
    // Ten pings of 32 bytes, there and back, and the handshake.
    let carried = relay.metrics.traffic.circuit.get() - reserved;
    assert!((640..8192).contains(&carried), "{carried} bytes");

    // Regression: both ends going at once closed the circuit twice, and the gauge fell below 0.
    drop(swarms);
    let gone = async {
        while relay.metrics.connections.get() > 0 || relay.metrics.circuits.get() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .expect("in time");
    assert_eq!(relay.metrics.circuits.get(), 0);
    assert_eq!(relay.metrics.reservations.get(), 0);
    relay.task.abort();
}

#[tokio::test]
async fn a_hundred_tabs_behind_one_address_all_get_a_reservation() {
    let relay = start_relay(|_, _| ()).await;
    let mut swarms: Vec<_> = (0..100).map(|_| reserving_client(&relay)).collect();
    let mut reserved = 0;
    until(&mut swarms, |_, event| {
        reserved += usize::from(is_reserved(&event));
        reserved == 100
    })
    .await;
    assert_eq!(relay.metrics.reservations.get(), 100);
    relay.task.abort();
}

#[tokio::test]
async fn a_reservation_over_the_limit_is_denied_and_counted() {
    let relay = start_relay(|_, circuits| circuits.max_reservations = 1).await;
    let mut swarms = [reserving_client(&relay)];
    until(&mut swarms, |_, event| is_reserved(&event)).await;
    let mut second = [reserving_client(&relay)];
    until(&mut second, |_, event| {
        matches!(event, SwarmEvent::ListenerClosed { .. })
    })
    .await;
    let denied = relay
        .metrics
        .reservation_requests
        .get_or_create(&OutcomeLabel {
            outcome: Outcome::Denied,
        })
        .get();
    assert_eq!((denied, relay.metrics.reservations.get()), (1, 1));
    relay.task.abort();
}

#[tokio::test]
async fn connections_over_the_limit_are_refused_and_the_others_stay() {
    let relay = start_relay(|connections, _| connections.max_established = 1).await;
    let mut first = [client()];
    first[0].dial(relay.addr.clone()).unwrap();
    until(&mut first, |_, event| {
        matches!(event, SwarmEvent::ConnectionEstablished { .. })
    })
    .await;
    let mut second = [client()];
    second[0].dial(relay.addr.clone()).unwrap();
    until(&mut second, |_, event| {
        matches!(
            event,
            SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. }
        )
    })
    .await;
    assert_eq!(relay.metrics.connections_refused.get(), 1);
    assert_eq!(relay.metrics.connections.get(), 1);
    let mut pings = 0;
    until(&mut first, |_, event| {
        pings += usize::from(
            matches!(&event, SwarmEvent::Behaviour(ClientNodeEvent::Ping(e)) if e.result.is_ok()),
        );
        pings == 3
    })
    .await;
    relay.task.abort();
}

#[tokio::test]
async fn an_address_in_use_is_reported_by_its_name() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = format!(
        "/ip4/127.0.0.1/tcp/{}/ws",
        taken.local_addr().unwrap().port()
    );
    let (mut swarm, mut listening, _) = relay_swarm(&addr, |_, _| ());
    let settled = listening.wait_for(|l| l.failed.is_some() || l.waiting == 0);
    let failed = tokio::select! {
        settled = settled => settled.unwrap().failed.clone().unwrap(),
        () = async { loop { swarm.next().await; } } => unreachable!(),
    };
    assert!(failed.starts_with(&addr), "{failed}");
    assert!(failed.to_lowercase().contains("in use"), "{failed}");
}

#[tokio::test]
async fn random_bytes_instead_of_a_handshake_harm_nobody() {
    use tokio::io::AsyncWriteExt;
    let relay = start_relay(|_, _| ()).await;
    let port = relay.addr.iter().find_map(|p| match p {
        libp2p::multiaddr::Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port.unwrap()))
        .await
        .unwrap();
    stream.write_all(&[0xff; 10_000]).await.unwrap();
    let mut swarms = [reserving_client(&relay)];
    until(&mut swarms, |_, event| is_reserved(&event)).await;
    relay.task.abort();
}

#[test]
fn intervals_follow_from_rates() {
    assert_eq!(per_minute(600), Duration::from_millis(100));
    assert_eq!(at_least_one(0).get(), 1);
}

#[test]
fn causes_are_joined_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer: {0}")]
    struct Outer(#[source] std::fmt::Error);
    let inner = std::fmt::Error.to_string();
    assert_eq!(
        with_causes(&Outer(std::fmt::Error)),
        format!("outer: {inner}")
    );
}
