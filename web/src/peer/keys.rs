//! The packets that tell to which keys content for others is sealed.

use std::collections::BTreeSet;

use chorus_core::{
    key::PeerId,
    net::{Handle, HandleError},
    node::{Filter, MAX_QUERY, Path},
    packet::Packet,
};
use futures::future::join_all;

/// Returns the packets of type `key_type` by each of `wanted` that are known here, or to a directly connected peer.
///
/// Asks for everybody's first, so that no peer learns for whom they are wanted, and by name only for those who are not
/// among the newest.
///
/// # Errors
/// [`HandleError::Closed`]. Peers that do not answer are passed over.
pub async fn key_packets(
    handle: &Handle,
    key_type: &str,
    wanted: &BTreeSet<PeerId>,
) -> Result<Vec<Packet>, HandleError> {
    let query = |author| Filter {
        packet_type: Some(key_type.into()),
        author,
        limit: MAX_QUERY,
        ..Filter::default()
    };
    let mut missing = unknown(handle, &query, wanted).await?;
    if !missing.is_empty() {
        let direct = (handle.peers().await?.into_iter())
            .filter(|info| info.path == Path::Direct)
            .map(|info| info.peer);
        let direct: Vec<_> = direct.collect();
        // What is answered becomes known here.
        join_all((direct.iter()).map(|peer| handle.query_peer(*peer, query(None)))).await;
        missing = unknown(handle, &query, &missing).await?;
        let by_name = (direct.iter())
            .flat_map(|peer| missing.iter().map(move |author| (*peer, *author)))
            .map(|(peer, author)| handle.query_peer(peer, query(Some(author))));
        join_all(by_name).await;
    }
    let mut found = Vec::new();
    for author in wanted {
        found.extend(handle.query(query(Some(*author))).await?);
    }
    Ok(found)
}

async fn unknown(
    handle: &Handle,
    query: &impl Fn(Option<PeerId>) -> Filter,
    wanted: &BTreeSet<PeerId>,
) -> Result<BTreeSet<PeerId>, HandleError> {
    let mut unknown = BTreeSet::new();
    for author in wanted {
        if handle.query(query(Some(*author))).await?.is_empty() {
            unknown.insert(*author);
        }
    }
    Ok(unknown)
}
