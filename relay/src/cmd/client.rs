//! What the headless peer commands share: a node without a page that is connected to one relay.

use chorus_core::{
    key::{Keypair, PeerId},
    net::{MemoryStore, Part, Store},
};
use libp2p::{Multiaddr, swarm::dummy};

use crate::{
    bootstrap::Bootstrap,
    cli::RelayArgs,
    cmd::{Failure, new_seed, usage},
    config::check_network,
    meter::Traffic,
    node::{self, RunningNode, Setup, net_config, order_for_dialling},
};

/// The relay that a command names: its network and addresses, best first.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) network: String,
    pub(crate) addrs: Vec<Multiaddr>,
}

/// A node that is connected to its relay.
pub(crate) struct Client {
    pub(crate) node: RunningNode,
    pub(crate) relay: PeerId,
}

/// Finds out where the relay is.
///
/// # Errors
/// Its URL does not answer, or it is in another network than the one asked for.
pub(crate) async fn target(args: &RelayArgs) -> Result<Target, Failure> {
    if let Some(network) = &args.network {
        check_network(network).map_err(usage)?;
    }
    let network = match (&args.network, &args.relay) {
        (Some(network), _) => network.clone(),
        (None, Bootstrap::Url(url)) => {
            let network = url.bootstrap_document().await?.network;
            check_network(&network)?;
            network
        }
        (None, Bootstrap::Addr(_)) => "main".into(),
    };
    let addrs = order_for_dialling(args.relay.resolve(&network).await?).await;
    if addrs.is_empty() {
        return Err(Failure::Failed(format!(
            "{}: no address that a native peer can dial",
            args.relay
        )));
    }
    Ok(Target { network, addrs })
}

/// Starts a node of its own identity and waits for the relay.
///
/// # Errors
/// The relay does not answer.
pub(crate) async fn connect(
    target: Target,
    key: Option<Keypair>,
    max_object: u64,
) -> Result<Client, Failure> {
    let key = match key {
        Some(key) => key,
        None => Keypair::from_seed(&*new_seed()?),
    };
    // Room for the content, its manifest and packets that are heard of meanwhile.
    let store = MemoryStore::new(max_object.saturating_mul(2).saturating_add(SPARE_BYTES));
    connect_with(target, key, max_object, Vec::new(), Box::new(store)).await
}

/// Starts a node with the given store and waits for the relay.
///
/// # Errors
/// The relay does not answer.
pub(crate) async fn connect_with(
    target: Target,
    key: Keypair,
    max_object: u64,
    listen: Vec<Multiaddr>,
    store: Box<dyn Store + Send>,
) -> Result<Client, Failure> {
    let mut config = net_config(Part::Headless, &target.network, max_object);
    config.bootstrap = target.addrs;
    config.listen = listen;
    let setup = Setup {
        key,
        certificate: None,
        traffic: Traffic::default(),
        store,
        extra: dummy::Behaviour,
    };
    let node = node::start(config, setup)?;
    let relay = node.relay().await?;
    Ok(Client { node, relay })
}

/// Memory for packets of others. Guess: a thousand of them.
const SPARE_BYTES: u64 = 64 << 20;
