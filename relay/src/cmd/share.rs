//! `chorus-relay share`: a file becomes a packet that the relay keeps.

use std::{collections::BTreeMap, path::Path};

use chorus_core::{
    net::ShareOptions,
    packet::{DEFAULT_TTL_SECS, Instructions, Where},
};
use serde::Deserialize;

use crate::{
    cli::ShareArgs,
    cmd::{Failure, client, keypair, open_store, print_line},
    store::Bounds,
};

/// What `--json` may say about the packet.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Metadata {
    packet_type: String,
    instructions: Option<Instructions>,
    quality_metrics: BTreeMap<String, f64>,
    ttl: u64,
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            packet_type: "file".into(),
            instructions: None,
            quality_metrics: BTreeMap::new(),
            ttl: DEFAULT_TTL_SECS,
        }
    }
}

/// Shares the file and prints the packet's content id once the relay has all of it.
///
/// # Errors
/// The file is unreadable or too large, the metadata do not make a valid packet, or the relay refuses.
pub(crate) async fn share(args: ShareArgs) -> Result<(), Failure> {
    let metadata: Metadata = match &args.json {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Failure::Usage(format!("--json: {error}")))?,
        None => Metadata::default(),
    };
    let content = read(&args.file).await?;
    let key = match &args.data_dir {
        Some(dir) => {
            let (_, secrets) = open_store(
                dir,
                Bounds {
                    max_bytes: u64::MAX,
                    max_blocks: u64::MAX,
                },
            )?;
            Some(keypair(&secrets))
        }
        None => None,
    };
    let target = client::target(&args.relay).await?;
    let client = client::connect(target, key, content.len() as u64).await?;
    let options = ShareOptions {
        packet_type: metadata.packet_type,
        instructions: metadata
            .instructions
            .unwrap_or_else(|| instructions_for(&args.file)),
        quality: metadata.quality_metrics,
        ttl_secs: metadata.ttl,
    };
    let packet = client.node.handle.share_bytes(content, options).await?;
    client.node.handle.offer(client.relay, packet.cid()).await?;
    client.node.close().await;
    print_line(&packet.cid().to_string())
}

/// The file's name travels as the region of memory that the content is for.
fn instructions_for(file: &Path) -> Instructions {
    let name = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let end = name
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= MAX_NAME)
        .last();
    Instructions {
        whither: Where::Memory {
            region: name[..end.unwrap_or(0)].to_string(),
        },
        ..Instructions::default()
    }
}

async fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |error: std::io::Error| Failure::Failed(format!("{}: {error}", file.display()));
    let len = tokio::fs::metadata(file).await.map_err(fail)?.len();
    if len > MAX_FILE_BYTES {
        let path = file.display();
        return Err(Failure::Failed(format!(
            "{path}: a file must be at most {MAX_FILE_BYTES} bytes, got {len}"
        )));
    }
    tokio::fs::read(file).await.map_err(fail)
}

/// Largest file that is read, bytes. Guess: it is held in memory; relays refuse far smaller ones by default.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Bytes of the name that travel. Source: the bound of an instruction's text is above this; file systems allow 255.
const MAX_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_between_characters() {
        let region = |name: &str| match instructions_for(Path::new(name)).whither {
            Where::Memory { region } => region,
            other => panic!("{other:?}"),
        };
        assert_eq!(region("/tmp/a.txt"), "a.txt");
        assert_eq!(region(&"ü".repeat(100)), "ü".repeat(64));
    }

    #[test]
    fn unknown_metadata_are_refused() {
        let error = serde_json::from_str::<Metadata>("{\"tttl\":1}").unwrap_err();
        assert!(error.to_string().contains("tttl"), "{error}");
        let metadata: Metadata =
            serde_json::from_str("{\"ttl\":60,\"quality_metrics\":{\"accuracy\":0.9}}").unwrap();
        assert_eq!((metadata.ttl, metadata.packet_type.as_str()), (60, "file"));
    }
}
