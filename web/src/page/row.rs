//! Peers as the view shows them.

use chorus_core::{
    key::PeerId,
    node::{Path, PeerInfo, Role},
};

use crate::view::state::{Action, Kind, PeerRow};

/// A peer's last connection is gone.
pub(super) fn peer_left(peer: PeerId) -> Action {
    Action::PeerLeft {
        id: peer.to_string().into(),
        at_ms: js_sys::Date::now(),
    }
}

/// A peer as the list shows it.
pub(super) fn peer_row(info: &PeerInfo) -> PeerRow {
    PeerRow {
        id: info.peer.to_string().into(),
        kind: match (info.role, info.path) {
            (Role::Relay, _) => Kind::Relay,
            (_, Path::Direct) => Kind::Direct,
            (_, Path::Relayed) => Kind::Relayed,
        },
        is_known: info.role != Role::Unknown,
        round_trip_ms: info.round_trip.map(|r| r.as_secs_f64() * 1000.0),
        packets_in: info.packets_in,
        bytes_in: info.bytes_in,
        bytes_out: info.bytes_out,
    }
}
