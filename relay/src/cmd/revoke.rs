//! `chorus-relay revoke`: an author takes packets back.

use chorus_core::{bounds::DEFAULT_MAX_OBJECT, release::Entry};

use crate::{
    cli::RevokeArgs,
    cmd::{Failure, client, identity, keys::now, print_line, privacy},
    store::BlockStore,
};

/// Publishes a revocation and prints its content id once the relay has carried it out and keeps it for others. Who has
/// read the packets has read them; it is noted in the data directory; peers that are away hear of it when they come back.
///
/// # Errors
/// The data directory holds no identity, a packet is by somebody else, or the relay does not answer or refuses.
pub(crate) async fn revoke(args: RevokeArgs) -> Result<(), Failure> {
    if !BlockStore::exists(&args.data_dir) {
        let dir = args.data_dir.display();
        return Err(Failure::Usage(format!(
            "--data-dir: {dir} holds no identity, so nothing was signed with it"
        )));
    }
    let key = identity(&args.data_dir)?;
    let target = client::target(&args.relay).await?;
    let client = client::connect(target, Some(key), DEFAULT_MAX_OBJECT).await?;
    let handle = &client.node.handle;
    let revocation = handle.prepare_revocation(&args.cids).await?;
    let entry = Entry::of_packet(revocation.packet(), now());
    let revocation = privacy::publish(handle, Some(&args.data_dir), (revocation, entry)).await?;
    handle.offer(client.relay, revocation.cid()).await?;
    client.node.close().await;
    print_line(&revocation.cid().to_string())
}
