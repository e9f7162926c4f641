//! What a multiaddr says about the way it goes.

use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, multiaddr::Protocol};

/// Whether packets may not flow there: the address ends in a circuit, without a WebRTC connection made over it.
pub fn is_circuit(address: &Multiaddr) -> bool {
    let mut circuit = false;
    for part in address {
        match part {
            Protocol::P2pCircuit => circuit = true,
            Protocol::WebRTC => circuit = false,
            _ => {}
        }
    }
    circuit
}

/// Whether the address leads through WebRTC between browsers.
pub fn is_webrtc(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::WebRTC)
}

/// Whether a connection's endpoint is a circuit. See [`is_circuit`].
pub(crate) fn is_circuit_endpoint(endpoint: &ConnectedPoint) -> bool {
    match endpoint {
        ConnectedPoint::Dialer { address, .. } => is_circuit(address),
        ConnectedPoint::Listener {
            local_addr,
            send_back_addr,
        } => is_circuit(local_addr) || is_circuit(send_back_addr),
    }
}

/// Returns the WebRTC address of `peer` over a circuit address that ends in `/p2p-circuit` or
/// `/p2p-circuit/p2p/<peer>`.
pub(crate) fn webrtc_over(circuit: &Multiaddr, peer: PeerId) -> Multiaddr {
    let mut address = circuit.clone();
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        address.pop();
    }
    address.with(Protocol::WebRTC).with(Protocol::P2p(peer))
}

/// Returns the relay's circuit address: where to listen for a reservation.
pub(crate) fn circuit_of(relay: &Multiaddr, id: PeerId) -> Multiaddr {
    let mut address = relay.clone();
    if !matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        address.push(Protocol::P2p(id));
    }
    address.with(Protocol::P2pCircuit)
}

/// Returns the relay that a circuit's address goes through, and the relay's own address.
pub(crate) fn relay_of(address: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
    let is_circuit = |part: &Protocol<'_>| *part == Protocol::P2pCircuit;
    let relay: Multiaddr = address
        .iter()
        .take_while(|part| !is_circuit(part))
        .collect();
    let is_through = address.iter().any(|part| is_circuit(&part));
    peer_of(&relay)
        .filter(|_| is_through)
        .map(|peer| (peer, relay))
}

/// Returns the peer that an address ends in.
pub(crate) fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const R: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

    fn address(tail: &str) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/9001/ws/p2p/{R}{tail}")
            .parse()
            .unwrap()
    }

    #[test]
    fn webrtc_over_a_circuit_is_not_a_circuit() {
        assert!(is_circuit(&address("/p2p-circuit")));
        assert!(is_circuit(&address(&format!("/p2p-circuit/p2p/{R}"))));
        assert!(!is_circuit(&address(&format!(
            "/p2p-circuit/webrtc/p2p/{R}"
        ))));
        assert!(!is_circuit(&address("")));
        assert!(!is_circuit(&format!("/webrtc/p2p/{R}").parse().unwrap()));
    }

    #[test]
    fn the_webrtc_address_replaces_the_circuits_last_peer() {
        let peer = R.parse().unwrap();
        let expected = address(&format!("/p2p-circuit/webrtc/p2p/{R}"));
        assert_eq!(
            webrtc_over(&address(&format!("/p2p-circuit/p2p/{R}")), peer),
            expected
        );
        assert_eq!(webrtc_over(&address("/p2p-circuit"), peer), expected);
    }
}
