//! `chorus-relay share`: a file becomes a packet that the relay keeps, sealed where it is addressed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use chorus_core::{
    bounds::LimitError,
    key::PeerId,
    net::ShareOptions,
    packet::{DEFAULT_TTL_SECS, Instructions, Where},
    release::sealing::{SEALED_TYPE, seal_parcel},
    seal::{MAX_RECIPIENTS, Parcel, Recipient, sealed_len},
};
use serde::Deserialize;

use crate::{
    cli::ShareArgs,
    cmd::{
        Failure, client, identity,
        keys::{self, OwnKeys},
        print_line,
    },
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

/// What is shared, in the open or sealed.
struct Outgoing {
    content: Vec<u8>,
    options: ShareOptions,
}

/// Shares the file and prints the packet's content id once the relay has all of it.
///
/// # Errors
/// The file is unreadable or too large, the metadata do not make a valid packet, a recipient has no valid key, or the
/// relay refuses.
pub(crate) async fn share(args: ShareArgs) -> Result<(), Failure> {
    let metadata: Metadata = match &args.json {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Failure::Usage(format!("--json: {error}")))?,
        None => Metadata::default(),
    };
    let recipients: BTreeSet<_> = args.recipient.iter().copied().collect();
    check_sealable(&metadata, recipients.len())?;
    let content = read(&args.file).await?;
    let target = client::target(&args.relay).await?;
    let own = match &args.data_dir {
        Some(dir) => {
            let own = OwnKeys {
                dir: dir.clone(),
                identity: identity(dir)?,
                network: target.network.clone(),
            };
            let (_, certificate) = own.renewed().await?;
            Some((own, certificate))
        }
        None => None,
    };
    let key = own.as_ref().map(|(own, _)| own.identity.clone());
    let most = sealed_len(content.len() + MAX_PARCEL_FRONT, recipients.len());
    let client = client::connect(target, key, most as u64).await?;
    let to = (&client.node.handle, client.relay);
    if let Some((own, certificate)) = &own {
        own.publish_or_warn(to, certificate).await;
    }
    let clear = content.len();
    let outgoing = if recipients.is_empty() {
        in_the_open(content, &args.file, metadata)
    } else {
        let keys = keys::recipients(to, &recipients).await?;
        let author = (client.node.handle.network(), client.node.handle.id());
        let parcel = parcel(content, &args.file, &metadata);
        sealed(&parcel, &keys, author, metadata.ttl)?
    };
    let Outgoing { content, options } = outgoing;
    let sent = content.len();
    let packet = client.node.handle.share_bytes(content, options).await?;
    client.node.handle.offer(client.relay, packet.cid()).await?;
    client.node.close().await;
    if !recipients.is_empty() {
        report(&recipients, clear, sent);
    }
    print_line(&packet.cid().to_string())
}

/// Refuses, before anything leaves, what cannot be sealed or would be readable beside the envelope.
fn check_sealable(metadata: &Metadata, recipients: usize) -> Result<(), Failure> {
    if recipients == 0 {
        return Ok(());
    }
    let usage = |error: LimitError| Failure::Usage(format!("--recipient: {error}"));
    LimitError::check_len("recipients", recipients, MAX_RECIPIENTS).map_err(usage)?;
    if metadata.instructions.is_some() || !metadata.quality_metrics.is_empty() {
        return Err(Failure::Usage(
            "--json: instructions and quality_metrics are readable by everybody, so with --recipient only packet_type \
             and ttl are taken"
                .into(),
        ));
    }
    Ok(())
}

fn in_the_open(content: Vec<u8>, file: &Path, metadata: Metadata) -> Outgoing {
    let options = ShareOptions {
        packet_type: metadata.packet_type,
        instructions: metadata
            .instructions
            .unwrap_or_else(|| instructions_for(file)),
        quality: metadata.quality_metrics,
        ttl_secs: metadata.ttl,
    };
    Outgoing { content, options }
}

/// The file as it is sealed: what it is called and its type are inside.
fn parcel(content: Vec<u8>, file: &Path, metadata: &Metadata) -> Parcel {
    Parcel {
        content_type: metadata.packet_type.clone(),
        name: file_name(file, Parcel::MAX_NAME),
        content,
    }
}

/// Seals a parcel. What is outside says that it is sealed, by whom, when and how long it is, and nothing else.
fn sealed(
    parcel: &Parcel,
    recipients: &[Recipient],
    author: (&str, PeerId),
    ttl_secs: u64,
) -> Result<Outgoing, Failure> {
    Ok(Outgoing {
        content: seal_parcel(parcel, recipients, author, &mut keys::rng()?)?,
        options: ShareOptions {
            ttl_secs,
            ..ShareOptions::new(SEALED_TYPE)
        },
    })
}

/// Says on standard error who can read what was shared, and how many bytes sealing cost.
fn report(recipients: &BTreeSet<PeerId>, clear: usize, sealed: usize) {
    eprintln!("sealed: nobody can read it but");
    for peer in recipients {
        eprintln!("  {peer}");
    }
    eprintln!(
        "{clear} bytes became {sealed}: {} bytes of overhead",
        sealed - clear
    );
}

/// The file's name travels as the region of memory that the content is for.
fn instructions_for(file: &Path) -> Instructions {
    Instructions {
        whither: Where::Memory {
            region: file_name(file, MAX_NAME),
        },
        ..Instructions::default()
    }
}

/// The last part of a path, cut to `max` bytes between characters.
fn file_name(file: &Path, max: usize) -> String {
    let mut name = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    name.truncate(name.floor_char_boundary(max));
    name
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
/// Bytes that a parcel has before its content, at most.
const MAX_PARCEL_FRONT: usize = Parcel::MAX_TYPE + Parcel::MAX_NAME + 32;

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
    fn what_everybody_could_read_beside_an_envelope_is_refused() {
        let metadata = |text: &str| serde_json::from_str::<Metadata>(text).unwrap();
        let open = metadata("{\"quality_metrics\":{\"accuracy\":0.9}}");
        assert!(check_sealable(&open, 0).is_ok());
        assert!(matches!(check_sealable(&open, 1), Err(Failure::Usage(_))));
        let inside = metadata("{\"packet_type\":\"payroll\",\"ttl\":60}");
        assert!(check_sealable(&inside, 64).is_ok());
        assert!(matches!(
            check_sealable(&inside, 65),
            Err(Failure::Usage(_))
        ));
    }

    #[test]
    fn outside_of_what_is_sealed_stands_neither_name_nor_type_nor_content() {
        let recipient = {
            let mut keyring = chorus_core::seal::Keyring::new();
            let secret = chorus_core::seal::SealSecret::from_seed(&[1; 32]);
            let identity = chorus_core::key::Keypair::from_seed(&[2; 32]);
            let now = keys::now();
            let certificate = keyring.rotate(secret, &identity, "main", now).unwrap();
            certificate.recipient(now).unwrap()
        };
        let metadata = Metadata {
            packet_type: "payroll".into(),
            ..Metadata::default()
        };
        let parcel = parcel(b"to all".to_vec(), Path::new("/tmp/wages.csv"), &metadata);
        assert_eq!(
            (parcel.name.as_str(), parcel.content_type.as_str()),
            ("wages.csv", "payroll")
        );
        let author = chorus_core::key::Keypair::from_seed(&[3; 32]).peer_id();
        let outgoing = sealed(&parcel, &[recipient], ("main", author), 60).unwrap();
        assert_eq!(outgoing.options.packet_type, "sealed");
        assert_eq!(outgoing.options.ttl_secs, 60);
        let outside = format!("{:?}", outgoing.options);
        for clear in ["wages", "payroll"] {
            assert!(!outside.contains(clear), "{outside}");
        }
        for clear in [&b"wages"[..], b"payroll", b"to all"] {
            assert!(!outgoing.content.windows(clear.len()).any(|w| w == clear));
        }
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
