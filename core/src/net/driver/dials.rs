//! Addresses that somebody asked to dial.

use futures::channel::oneshot;
use libp2p::{
    Multiaddr, PeerId as Libp2pId,
    swarm::{
        DialError, NetworkBehaviour,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::Driver;
use crate::net::address::relay_of;

/// Whoever asked hears how it went.
type Answer = oneshot::Sender<Result<(), String>>;

/// A dial through a relay that is not connected yet.
pub(super) struct Parked {
    relay: Libp2pId,
    address: Multiaddr,
    reply: Answer,
}

impl<X: NetworkBehaviour> Driver<X> {
    /// Dials an address; a circuit once its relay is connected.
    ///
    /// rust-libp2p's relay client dials the relay by itself, but gives the circuit up where somebody else is dialling that
    /// relay already, as a peer that starts does.
    pub(super) fn dial_address(&mut self, address: Multiaddr, reply: Answer) {
        let relay = relay_of(&address).filter(|(relay, _)| !self.swarm.is_connected(relay));
        let Some((relay, at)) = relay else {
            return self.dial_now(address, reply);
        };
        match self.dial_relay(relay, at) {
            // The second: it is being dialled.
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => self.park(Parked {
                relay,
                address,
                reply,
            }),
            Err(error) => drop(reply.send(Err(error.to_string()))),
        }
    }

    /// Dials a relay that is neither connected nor being dialled.
    pub(super) fn dial_relay(
        &mut self,
        relay: Libp2pId,
        address: Multiaddr,
    ) -> Result<(), DialError> {
        let options = DialOpts::peer_id(relay)
            .addresses(vec![address])
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .build();
        self.swarm.dial(options)
    }

    fn dial_now(&mut self, address: Multiaddr, reply: Answer) {
        let options = DialOpts::from(address);
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dials.insert(id, reply)),
            Err(error) => drop(reply.send(Err(error.to_string()))),
        }
    }

    fn park(&mut self, dial: Parked) {
        if self.parked.len() < MAX_PARKED {
            self.parked.push(dial);
        } else {
            let why = format!("{MAX_PARKED} dials wait for their relay already");
            drop(dial.reply.send(Err(why)));
        }
    }

    /// Goes on with what waited for `relay`, which is connected now.
    pub(super) fn on_relay_up(&mut self, relay: &Libp2pId) {
        for dial in self.unpark(relay) {
            self.dial_now(dial.address, dial.reply);
        }
    }

    /// Gives up what waited for `relay`, which cannot be reached.
    pub(super) fn on_relay_unreachable(&mut self, relay: &Libp2pId, error: &DialError) {
        if self.swarm.is_connected(relay) {
            return;
        }
        for dial in self.unpark(relay) {
            let why = format!("the relay {relay} cannot be reached: {error}");
            drop(dial.reply.send(Err(why)));
        }
    }

    fn unpark(&mut self, relay: &Libp2pId) -> Vec<Parked> {
        self.parked
            .extract_if(.., |dial| dial.relay == *relay)
            .collect()
    }
}

/// Dials that may wait for a relay. Guess: more than a page asks for while it starts.
const MAX_PARKED: usize = 64;
