//! `chorus-relay peer`: a member of the mesh without a page, for servers and tests, that others can seal to.

use chorus_core::bounds::DEFAULT_MAX_OBJECT;
use serde_json::json;

use crate::{
    cli::PeerArgs,
    cmd::{
        Failure, Termination,
        client::{self, Client},
        flush, keypair,
        keys::OwnKeys,
        open_store, print_line,
    },
    config::StoreConfig,
    metrics::Metrics,
    store::{Bounds, NodeStore},
};

/// Stays in the mesh until SIGTERM or SIGINT; prints one line of JSON when it is connected to the relay and has published
/// the key that others seal to.
///
/// # Errors
/// The store or the keyring is not usable, the relay does not answer, or the node ends by itself.
pub(crate) async fn peer(args: PeerArgs) -> Result<(), Failure> {
    let mut termination = Termination::listen()?;
    let limits = StoreConfig::default();
    let bounds = Bounds {
        max_bytes: limits.max_bytes,
        max_blocks: limits.max_blocks,
    };
    let (store, secrets) = open_store(&args.data_dir, bounds)?;
    let store = NodeStore::new(store, Metrics::default());
    let target = client::target(&args.relay).await?;
    let keys = OwnKeys {
        dir: args.data_dir,
        identity: keypair(&secrets),
        network: target.network.clone(),
    };
    let (_, certificate) = keys.renewed().await?;
    let client = client::connect_with(
        target,
        keys.identity.clone(),
        DEFAULT_MAX_OBJECT,
        args.listen,
        Box::new(store.clone()),
    );
    let Client { mut node, relay } = tokio::select! {
        client = client => client?,
        () = termination.asked() => return Ok(()),
    };
    let handle = node.handle.clone();
    let to = (&handle, relay);
    tokio::select! {
        _ = keys.publish_or_warn(to, &certificate) => {}
        () = termination.asked() => {
            node.close().await;
            return Ok(());
        }
    }
    let addrs: Vec<_> = node
        .handle
        .addresses()
        .await?
        .iter()
        .map(ToString::to_string)
        .collect();
    print_line(
        &json!({ "event": "ready", "peer_id": node.handle.id().to_string(), "relay": relay.to_string(), "addrs": addrs })
            .to_string(),
    )?;
    tokio::select! {
        () = termination.asked() => {}
        never = keys.keep_published(to) => match never {},
        ended = &mut node.driver => {
            ended?;
            return Err(Failure::Failed("the node ended by itself".into()));
        }
    }
    node.close().await;
    flush(&store);
    Ok(())
}
