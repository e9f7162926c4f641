//! `chorus-relay get`: a packet's content, verified, as a file; opened first where it is sealed.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use chorus_core::{
    digest::ContentId,
    net::{self, Handle},
    node::Event,
    packet::Packet,
    release::sealing::{SEALED_TYPE, open_parcel},
    seal::{KeyCertificate, Keyring},
};
use futures::StreamExt;
use tokio::time::Instant;

use crate::{
    cli::GetArgs,
    cmd::{
        Failure, client, identity,
        keys::{self, OwnKeys},
        print,
        unfinished::Unfinished,
    },
    store::StoreError,
};

/// Fetches the content, opens it where it is sealed, and writes it; a file appears only when it is complete.
///
/// # Errors
/// Nobody has it, it is too large or not what its packet says, it is sealed to others, or the file cannot be written.
pub(crate) async fn get(args: GetArgs) -> Result<(), Failure> {
    let target = client::target(&args.relay).await?;
    let network = target.network.clone();
    let keys = match &args.data_dir {
        Some(dir) => Some(keys_in(dir, &network).await?),
        None => None,
    };
    let own = keys.as_ref().and_then(|keys| keys.own.as_ref());
    let key = own.map(|(own, _)| own.identity.clone());
    let client = client::connect(target, key, args.max_bytes).await?;
    let handle = &client.node.handle;
    if let Some((own, certificate)) = own {
        own.publish_or_warn((handle, client.relay), certificate)
            .await;
    }
    let (packet, content) = fetch(handle, args.cid).await?;
    client.node.close().await;
    let was_sealed = packet.packet_type() == SEALED_TYPE;
    let content = if was_sealed {
        opened(&packet, &content, &network, keys.as_ref())?
    } else {
        content
    };
    let path = &args.output;
    if path == Path::new("-") {
        return print(io::stdout().lock(), &content);
    }
    write_whole(path, &content, was_sealed)
        .map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}

/// What a data directory has for opening.
struct Keys {
    dir: PathBuf,
    keyring: Keyring,
    /// `None` while a running peer holds the store: it publishes the key itself.
    own: Option<(OwnKeys, KeyCertificate)>,
}

async fn keys_in(dir: &Path, network: &str) -> Result<Keys, Failure> {
    let dir = dir.to_path_buf();
    match identity(&dir) {
        Ok(identity) => {
            let own = OwnKeys {
                dir: dir.clone(),
                identity,
                network: network.into(),
            };
            let (keyring, certificate) = own.renewed().await?;
            Ok(Keys {
                dir,
                keyring,
                own: Some((own, certificate)),
            })
        }
        Err(StoreError::InUse { .. }) => Ok(Keys {
            keyring: keys::keyring(&dir).await?,
            dir,
            own: None,
        }),
        Err(error) => Err(error.into()),
    }
}

/// Opens sealed content, and says on standard error what it is called there.
fn opened(
    packet: &Packet,
    envelope: &[u8],
    network: &str,
    keys: Option<&Keys>,
) -> Result<Vec<u8>, Failure> {
    let (cid, author) = (packet.cid(), packet.author());
    let Some(Keys { dir, keyring, .. }) = keys else {
        return Err(Failure::Failed(format!(
            "{cid} is sealed: only its recipients can open it, each with its own --data-dir"
        )));
    };
    let parcel =
        open_parcel(envelope, keyring, (network, author), keys::now()).map_err(|error| {
            let dir = dir.display();
            Failure::Failed(format!(
                "{cid} is sealed, and the keys in {dir} do not open it: {error}"
            ))
        })?;
    // Quoted: the sender chose these words. Where nobody hears them the content counts still.
    let (name, content_type) = (&parcel.name, &parcel.content_type);
    let mut said = format!("opened {name:?}, type {content_type:?}, sealed by {author}\n");
    for (metric, value) in &parcel.quality {
        said.push_str(&format!("  {metric:?}: {value}\n"));
    }
    let _ = io::stderr().write_all(said.as_bytes());
    Ok(parcel.content)
}

/// Waits for the content as long as it comes further.
async fn fetch(handle: &Handle, cid: ContentId) -> Result<(Packet, Vec<u8>), Failure> {
    let mut events = handle.events().await?;
    let mut fetched = pin!(handle.get(cid));
    let mut patience = pin!(tokio::time::sleep(PATIENCE));
    loop {
        tokio::select! {
            result = &mut fetched => return Ok(result?),
            event = events.next() => match event {
                Some(net::Event::Node(Event::Progressed { cid: progressed, .. })) if progressed == cid => {
                    patience.as_mut().reset(Instant::now() + PATIENCE);
                }
                Some(_) => {}
                None => return Err(Failure::Failed("the node ended early".into())),
            },
            () = &mut patience => {
                let secs = PATIENCE.as_secs();
                return Err(Failure::Failed(format!("nobody who can be reached holds {cid} ({secs} s without progress)")));
            }
        }
    }
}

/// Writes beside `path`, then renames: whoever looks sees the old file or the whole new one. Only its owner can read a
/// private one.
fn write_whole(path: &Path, content: &[u8], is_private: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    if is_private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let (unfinished, mut file) = Unfinished::beside(path, &mut options)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(unfinished.path(), path)
}

/// Time without progress. Guess: the relay asks its neighbours and the DHT within ten seconds, for each of two hops.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_replaced_whole_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::write(&path, "old").unwrap();
        write_whole(&path, b"new", false).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn what_was_sealed_only_its_owner_can_read_also_where_a_file_is_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_whole(&path, b"new", true).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_directory_in_the_way_is_an_error_that_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "").unwrap();
        write_whole(&path, b"new", false).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
