//! `chorus-relay keygen`: an identity and a certificate before the first start, for example to announce the address.

use serde_json::json;

use crate::{
    cli::KeygenArgs,
    cmd::{Failure, keypair, open_store, print_line},
    config::default_data_dir,
    store::{BlockStore, Bounds},
};

/// Makes the secrets if there are none and prints `{"peer_id":…,"created":…}`. They never leave the store.
///
/// # Errors
/// The data directory is not usable, or its store is damaged, foreign or in use.
pub(crate) fn keygen(args: KeygenArgs) -> Result<(), Failure> {
    let dir = args.data_dir.unwrap_or_else(default_data_dir);
    let created = !BlockStore::exists(&dir);
    let bounds = Bounds {
        max_bytes: u64::MAX,
        max_blocks: u64::MAX,
    };
    let (_store, secrets) = open_store(&dir, bounds)?;
    let peer_id = keypair(&secrets).peer_id().to_string();
    print_line(&json!({ "peer_id": peer_id, "created": created, "data_dir": dir }).to_string())
}
