//! `chorus-relay share`: a file becomes a packet that the relay keeps, sealed where it is addressed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Write, stderr},
    path::Path,
};

use chorus_core::{
    bounds::LimitError,
    key::PeerId,
    net::{Handle, PreparedPacket, ShareOptions},
    packet::{DEFAULT_TTL_SECS, How, Instructions, Order},
    privacy::range::{Fact, Ladder},
    release::{Entry, NoiseWish, Outgoing, Prepared, Preview, kept_as},
    seal::{MAX_RECIPIENTS, Parcel, Recipient, sealed_len},
};
use serde::Deserialize;

use crate::{
    cli::{NamedFact, ShareArgs},
    cmd::{
        Failure, client, identity,
        keys::{self, OwnKeys},
        owner, print_line, privacy,
        report::Report,
    },
    store::StoreError,
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

/// Cleans the file, says what leaves, shares it and prints the packet's content id once the relay has all of it; or only
/// prints what would leave.
///
/// # Errors
/// The file is unreadable or too large, the metadata do not make a valid packet, something in it is not to leave, the
/// privacy budget is spent, a recipient has no valid key, or the relay refuses.
pub(crate) async fn share(args: ShareArgs) -> Result<(), Failure> {
    let mut metadata: Metadata = match &args.json {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Failure::Usage(format!("--json: {error}")))?,
        None => Metadata::default(),
    };
    let recipients: BTreeSet<_> = args.recipient.iter().copied().collect();
    check_sealable(&metadata, recipients.len())?;
    metadata.instructions = instructions(&args, metadata.instructions)?;
    let content = read(&args.file).await?;
    let target = client::target(&args.relay).await?;
    let dir = args.data_dir.as_deref();
    let own = match dir.filter(|_| !args.preview) {
        Some(dir) => {
            let own = OwnKeys {
                dir: dir.to_path_buf(),
                identity: identity(dir).map_err(|error| in_use(error, dir))?,
                network: target.network.clone(),
            };
            let (_, certificate) = own.renewed().await?;
            Some((own, certificate))
        }
        None => None,
    };
    let mut rules = privacy::rules(dir, &target.network, MAX_FILE_BYTES).await?;
    if !args.fact.is_empty() {
        let own = own.as_ref().map(|(own, _)| own.identity.peer_id());
        rules.published = privacy::published(target.clone(), own).await?;
    }
    let outgoing = outgoing(content, &args, metadata);
    let rng = &mut keys::rng()?;
    let (tried, unpaid) = privacy::tried(outgoing, &rules, dir, rng).await?;
    let peers: Vec<PeerId> = recipients.iter().copied().collect();
    if args.preview {
        let preview = if peers.is_empty() {
            tried.preview().clone()
        } else {
            tried.preview_for(&peers)
        };
        return print_line(&serde_json::to_string(&preview)?);
    }

    let key = own.as_ref().map(|(own, _)| own.identity.clone());
    let most = sealed_len(tried.content().len() + Parcel::MAX_FRONT, peers.len());
    let client = client::connect(target, key, most as u64).await?;
    let handle = &client.node.handle;
    let to = (handle, client.relay);
    if let Some((own, certificate)) = &own {
        own.publish_or_warn(to, certificate).await;
    }
    let recipients = if peers.is_empty() {
        Vec::new()
    } else {
        keys::recipients(to, &recipients).await?
    };
    let mut leaving = Leaving::of(tried, &recipients, handle)?;
    if let Some(unpaid) = unpaid {
        // Last: all that can refuse it has had its chance, and what is paid is gone.
        if let Some(dir) = dir {
            privacy::open_ledger(dir)
                .await?
                .check_room(leaving.entry())?;
        }
        drop(leaving);
        leaving = Leaving::of(unpaid.paid(&rules, rng).await?, &recipients, handle)?;
    }
    // Where nobody reads it, it leaves all the same.
    let _ = write!(stderr(), "{}", Report::to_standard_error(&leaving.preview));
    let entry = leaving.entry();
    let packet = privacy::publish(handle, dir, (leaving.packet, entry)).await?;
    handle.offer(client.relay, packet.cid()).await?;
    client.node.close().await;
    print_line(&packet.cid().to_string())
}

/// What is to leave: signed, and as its owner is to see it.
struct Leaving {
    packet: PreparedPacket,
    preview: Preview,
}

impl Leaving {
    /// Makes the packet: sealed to `recipients`, or for everybody where there are none.
    fn of(prepared: Prepared, recipients: &[Recipient], handle: &Handle) -> Result<Self, Failure> {
        let (content, options, preview) = if recipients.is_empty() {
            in_the_open(prepared)
        } else {
            sealed(prepared, recipients, (handle.network(), handle.id()))?
        };
        let packet = handle.prepare(content, options)?;
        Ok(Self { packet, preview })
    }

    fn entry(&self) -> Entry {
        let cid = self.packet.packet().cid().to_string();
        Entry::of(&self.preview, cid, keys::now())
    }
}

/// Says what to do where a running peer holds the identity.
fn in_use(error: StoreError, dir: &Path) -> Failure {
    match error {
        StoreError::InUse { .. } => Failure::Failed(format!(
            "{error}: a peer runs with {dir}, and two with one identity would be taken for each other. Stop it while you \
             share, or share with another --data-dir",
            dir = dir.display()
        )),
        other => other.into(),
    }
}

/// Refuses, before anything leaves, what cannot be sealed or would be readable beside the envelope.
fn check_sealable(metadata: &Metadata, recipients: usize) -> Result<(), Failure> {
    if recipients == 0 {
        return Ok(());
    }
    let usage = |error: LimitError| Failure::Usage(format!("--recipient: {error}"));
    LimitError::check_len("recipients", recipients, MAX_RECIPIENTS).map_err(usage)?;
    if metadata.instructions.is_some() {
        return Err(Failure::Usage(
            "--json: instructions are readable by everybody, so with --recipient only packet_type, quality_metrics and \
             ttl are taken"
                .into(),
        ));
    }
    Ok(())
}

/// Returns what the packet asks of others: as its metadata say, or as the options do.
fn instructions(
    args: &ShareArgs,
    given: Option<Instructions>,
) -> Result<Option<Instructions>, Failure> {
    if args.when.is_none() && args.after.is_none() && args.supersedes.is_none() {
        return Ok(given);
    }
    if given.is_some() {
        return Err(Failure::Usage(
            "--json: its instructions say when and in which order already, so --when, --after and --supersedes cannot be \
             used with them"
                .into(),
        ));
    }
    let mut instructions = kept_as(&file_name(&args.file, Parcel::MAX_NAME));
    instructions.when = args.when.clone().unwrap_or_default();
    if let Some(cid) = args.after.or(args.supersedes) {
        instructions.order = Order::After { cid };
    }
    if args.supersedes.is_some() {
        instructions.how = How::Replace;
    }
    Ok(Some(instructions))
}

fn outgoing(content: Vec<u8>, args: &ShareArgs, metadata: Metadata) -> Outgoing {
    let noise = args.clip_norm.zip(args.noise);
    Outgoing {
        name: Some(file_name(&args.file, Parcel::MAX_NAME)),
        instructions: metadata.instructions,
        quality: metadata.quality_metrics,
        facts: args.fact.iter().map(fact).collect(),
        ttl_secs: metadata.ttl,
        identifiers: owner::identifiers(),
        noise: noise.map(|(clip_norm, noise_multiplier)| NoiseWish {
            clip_norm,
            noise_multiplier,
        }),
        is_verbatim: args.verbatim,
        ..Outgoing::new(metadata.packet_type, content)
    }
}

fn fact(NamedFact { name, value }: &NamedFact) -> (String, Fact) {
    let (value, ladder) = (*value, Ladder::Sizes);
    (name.clone(), Fact { value, ladder })
}

fn in_the_open(prepared: Prepared) -> (Vec<u8>, ShareOptions, Preview) {
    let open = prepared.into_open();
    let options = ShareOptions {
        packet_type: open.packet_type,
        instructions: open.instructions,
        quality: open.quality,
        ttl_secs: open.ttl_secs,
    };
    (open.content, options, open.preview)
}

/// Seals what was prepared. What is outside says that it is sealed, by whom, when and how long it is, and nothing else.
fn sealed(
    prepared: Prepared,
    recipients: &[Recipient],
    (network, author): (&str, PeerId),
) -> Result<(Vec<u8>, ShareOptions, Preview), Failure> {
    let sealed = prepared.seal(recipients, network, author, &mut keys::rng()?)?;
    let options = ShareOptions {
        ttl_secs: sealed.ttl_secs(),
        ..ShareOptions::new(sealed.packet_type())
    };
    let (content, preview) = sealed.into_parts();
    Ok((content, options, preview))
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

#[cfg(test)]
mod tests {
    use chorus_core::digest::{Codec, ContentId};
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(file_name(Path::new("/tmp/a.txt"), 255), "a.txt");
        assert_eq!(file_name(Path::new(&"ü".repeat(200)), 255), "ü".repeat(127));
    }

    #[test]
    fn what_everybody_could_read_beside_an_envelope_is_refused() {
        let metadata = |text: &str| serde_json::from_str::<Metadata>(text).unwrap();
        let open = metadata("{\"instructions\":{}}");
        assert!(check_sealable(&open, 0).is_ok());
        assert!(matches!(check_sealable(&open, 1), Err(Failure::Usage(_))));
        let inside =
            "{\"packet_type\":\"payroll\",\"ttl\":60,\"quality_metrics\":{\"accuracy\":0.9}}";
        let inside = metadata(inside);
        assert!(check_sealable(&inside, 64).is_ok());
        assert!(matches!(
            check_sealable(&inside, 65),
            Err(Failure::Usage(_))
        ));
    }

    #[test]
    fn options_become_instructions_of_content_that_is_kept_by_its_name() {
        let args = |more: &[&str]| {
            let first = [
                "chorus-relay",
                "share",
                "a/b.txt",
                "--relay",
                "http://127.0.0.1:8080",
            ];
            match Cli::try_parse_from([&first[..], more].concat())
                .unwrap()
                .command
            {
                Command::Share(args) => args,
                other => panic!("{other:?}"),
            }
        };
        let cid = ContentId::of(Codec::DagCbor, b"packet").to_string();
        assert_eq!(instructions(&args(&[]), None).unwrap(), None);
        let replacing = args(&["--supersedes", &cid, "--data-dir", "d"]);
        let lines = instructions(&replacing, None).unwrap().unwrap().lines();
        assert_eq!(lines[0], "WHEN_IMMEDIATE");
        assert_eq!(lines[1], "WHERE_MEMORY region=\"b.txt\"");
        assert_eq!(lines[2], "HOW_REPLACE");
        assert_eq!(lines[5], format!("ORDER_AFTER cid={cid}"));
        let after = args(&["--after", &cid, "--when", "periodic_60"]);
        let lines = instructions(&after, None).unwrap().unwrap().lines();
        assert_eq!(lines[0], "WHEN_PERIODIC secs=60");
        assert_eq!(lines[2], "HOW_MERGE weight=1.0");
        let both = instructions(&after, Some(Instructions::default()));
        assert!(matches!(both, Err(Failure::Usage(why)) if why.contains("--json")));
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
