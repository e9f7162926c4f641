//! Where peers can be dialled.

use std::collections::HashMap;

use libp2p::{Multiaddr, PeerId as Libp2pId};

/// Addresses by peer, bounded: the peer heard of longest ago goes first.
#[derive(Default)]
pub(super) struct AddressBook {
    known: HashMap<Libp2pId, (u64, Vec<Multiaddr>)>,
    clock: u64,
}

impl AddressBook {
    pub(super) fn learn(&mut self, peer: Libp2pId, addresses: impl IntoIterator<Item = Multiaddr>) {
        self.clock += 1;
        let (used, list) = self.known.entry(peer).or_default();
        *used = self.clock;
        for address in addresses {
            if !list.contains(&address) {
                list.insert(0, address);
                list.truncate(MAX_ADDRESSES);
            }
        }
        if self.known.len() > MAX_PEERS
            && let Some(oldest) = self
                .known
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(peer, _)| *peer)
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn of(&self, peer: &Libp2pId) -> Vec<Multiaddr> {
        self.known
            .get(peer)
            .map(|(_, list)| list.clone())
            .unwrap_or_default()
    }
}

/// Peers whose addresses are remembered.
const MAX_PEERS: usize = 1024;
/// Addresses remembered of one peer.
pub(super) const MAX_ADDRESSES: usize = 8;
