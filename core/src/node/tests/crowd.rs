//! What one author can do to the others by the number or the order of its packets.

use super::{
    life::{after, due, gossip, listed, never_due, replacing, revoke},
    *,
};
use crate::{
    digest::Codec,
    packet::{REVOCATION_TYPE, Revocation, When},
};

#[test]
fn a_revocation_cannot_be_revoked_whichever_comes_first() {
    for is_first in [false, true] {
        let mut mesh = Mesh::tabs(2);
        let cid = mesh.share(0, b"a slip");
        let slip = mesh.hosts[0].node.library.get(&cid).unwrap().clone();
        let by = revoke(&mut mesh, 0, &[cid]);
        let second = revoke(&mut mesh, 0, &[by]);
        let mut packets = [by, second].map(|cid| mesh.hosts[0].node.library.get(&cid).unwrap().clone());
        if is_first {
            packets.reverse();
        }
        mesh.links.insert((0, 1));
        for packet in packets.iter().chain([&slip]) {
            gossip(&mut mesh, 1, 0, packet);
            mesh.run();
        }
        assert!(mesh.knows(1, &by) && mesh.knows(1, &second));
        assert!(!mesh.knows(1, &cid), "{is_first}");
    }
}
