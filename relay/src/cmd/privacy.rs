//! The rules that what is shared from here is held to, and the noise that its budget pays.

use std::path::{Path, PathBuf};

use chorus_core::{
    bounds::DEFAULT_MAX_OBJECT,
    key::PeerId,
    net::{Handle, PreparedPacket},
    node::Filter,
    packet::Packet,
    privacy::{
        Anonymiser, Limits,
        ledger::Mechanism,
        noise::{Neighbours, plan},
        pseudonym::{EpochLength, NodeSecret},
        range::Row,
        scrub::{Policy, Salt, Scrubber},
    },
    release::{self, Entry, Outgoing, Prepared, Rules, prepare},
};
use rand_chacha::rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    cmd::{
        Failure,
        client::{self, Target},
        keys::{now, open_soon},
    },
    store::{LedgerFile, Seeds, SpendError, StoreError},
};

/// The rules for `network`: with the secrets in `dir`, or new ones for this once.
///
/// # Errors
/// The ledger's file is not usable, or the system has no randomness.
pub(crate) async fn rules(
    dir: Option<&Path>,
    network: &str,
    max_bytes: u64,
) -> Result<Rules, Failure> {
    let (secret, salt) = match dir {
        Some(dir) => {
            let file = open_ledger(dir).await?;
            // What cannot be noted is not to leave.
            file.journal()?;
            file.secrets()?
        }
        None => {
            let seeds = seeds()?;
            let mut secret = Zeroizing::new([0; 32]);
            secret.copy_from_slice(&seeds[..32]);
            let mut salt = Zeroizing::new([0; 32]);
            salt.copy_from_slice(&seeds[32..]);
            (NodeSecret::from_bytes(*secret), Salt::from_bytes(*salt))
        }
    };
    let epoch = EpochLength::default().epoch_of(now());
    let limits = Limits {
        max_text: usize::try_from(max_bytes).unwrap_or(usize::MAX),
        max_elements: max_bytes / 4,
        max_bytes,
        ..Limits::default()
    };
    let scrubber = Scrubber::new(Policy::default(), salt);
    let anonymiser = Anonymiser::new(secret.pseudonyms(network, epoch));
    Ok(Rules {
        limits,
        ..Rules::new(scrubber, anonymiser)
    })
}

/// What others on the relay told of themselves as ranges, among which facts of the owner hide; `own` is left out.
///
/// # Errors
/// The relay does not answer.
pub(crate) async fn published(target: Target, own: Option<PeerId>) -> Result<Vec<Row>, Failure> {
    let client = client::connect(target, None, DEFAULT_MAX_OBJECT).await?;
    let handle = &client.node.handle;
    let found = handle.query_peer(client.relay, Filter::default()).await;
    let own = own.unwrap_or(handle.id());
    client.node.close().await;
    let packets = found?;
    let packets = packets.iter().map(|p| (p.author(), p.quality()));
    Ok(release::rows(packets, own))
}

/// What is to be paid from the budget in `dir` before it leaves.
pub(crate) struct Unpaid {
    outgoing: Outgoing,
    mechanism: Mechanism,
    dir: PathBuf,
}

/// Takes `outgoing` through all stages, for nothing: what comes of it is to be looked at, and leaves only where nothing is
/// unpaid. The budget in `dir` must allow the noise; there is none to pay where there are no numbers.
///
/// # Errors
/// As [`prepare`], and where the budget does not allow the noise.
pub(crate) async fn tried(
    outgoing: Outgoing,
    rules: &Rules,
    dir: Option<&Path>,
    rng: &mut impl CryptoRng,
) -> Result<(Prepared, Option<Unpaid>), Failure> {
    let (Some(wish), Some(dir)) = (outgoing.noise, dir) else {
        return Ok((prepare(outgoing, rules, None, rng)?, None));
    };
    let mechanism = plan(wish.noise_multiplier, Neighbours::Absent, 1.0)?;
    // Taken out of the file: others would wait for it as long as the stages take.
    let mut trial = open_ledger(dir).await?.ledger()?;
    let mut grant = match trial.reserve(mechanism, 1) {
        Ok(reservation) => reservation.stored(),
        Err(error) => return Err(SpendError::from(error).into()),
    };
    let tried = prepare(outgoing.clone(), rules, Some(&mut grant), rng)?;
    let noise = tried.preview().noise.as_ref();
    if noise.is_none_or(|noise| noise.numbers == 0) {
        let plain = Outgoing {
            noise: None,
            ..outgoing
        };
        return Ok((prepare(plain, rules, None, rng)?, None));
    }
    let unpaid = Unpaid {
        outgoing,
        mechanism,
        dir: dir.to_path_buf(),
    };
    Ok((tried, Some(unpaid)))
}

impl Unpaid {
    /// Books the noise, and takes what was tried through all stages with noise that is drawn anew.
    ///
    /// # Errors
    /// As [`prepare`], and where another process has spent the budget meanwhile: nothing was booked then.
    pub(crate) async fn paid(
        self,
        rules: &Rules,
        rng: &mut impl CryptoRng,
    ) -> Result<Prepared, Failure> {
        let mut grant = open_ledger(&self.dir).await?.reserve(self.mechanism)?;
        Ok(prepare(self.outgoing, rules, Some(&mut grant), rng)?)
    }
}

/// Notes what is to leave in `dir`, where there is one, and only then lets it leave.
///
/// # Errors
/// It cannot be noted, and nothing left; or the node cannot publish it.
pub(crate) async fn publish(
    handle: &Handle,
    dir: Option<&Path>,
    (packet, entry): (PreparedPacket, Entry),
) -> Result<Packet, Failure> {
    if let Some(dir) = dir {
        open_ledger(dir).await?.note(entry)?;
    }
    Ok(handle.publish(packet).await?)
}

/// Opens the ledger's file, which other processes hold for milliseconds.
///
/// # Errors
/// The file is not usable, in use for long, damaged or foreign.
pub(crate) async fn open_ledger(dir: &Path) -> Result<LedgerFile, StoreError> {
    let seeds = seeds().map_err(|error| StoreError::Io {
        path: dir.to_path_buf(),
        source: std::io::Error::other(error.to_string()),
    })?;
    open_soon(|| LedgerFile::open(dir, &seeds)).await
}

fn seeds() -> Result<Seeds, Failure> {
    let mut seeds = Zeroizing::new([0; 64]);
    getrandom::fill(seeds.as_mut_slice())
        .map_err(|error| Failure::Failed(format!("randomness: {error}")))?;
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use chorus_core::{
        key::Keypair,
        net::{MemoryStore, Part, ShareOptions},
        release::{MAX_JOURNAL_JSON, NoiseWish},
    };
    use libp2p::swarm::dummy;
    use rand_chacha::{
        ChaCha20Rng,
        rand_core::{RngCore, SeedableRng},
    };

    use super::*;
    use crate::{
        meter::Traffic,
        node::{self, Setup, net_config},
    };

    /// A generator that looks whether another process could open the ledger while it is drawn from.
    struct Watching {
        inner: ChaCha20Rng,
        dir: PathBuf,
        draws: u64,
    }

    impl Watching {
        fn look(&mut self) {
            if self.draws == 0 {
                drop(LedgerFile::open(&self.dir, &seeds().unwrap()).expect("the ledger is free"));
            }
            self.draws += 1;
        }
    }

    impl RngCore for Watching {
        fn next_u32(&mut self) -> u32 {
            self.look();
            self.inner.next_u32()
        }

        fn next_u64(&mut self) -> u64 {
            self.look();
            self.inner.next_u64()
        }

        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            self.look();
            self.inner.fill_bytes(bytes);
        }
    }

    impl CryptoRng for Watching {}

    /// Tensors of this many numbers, with a wish for noise.
    fn weights(numbers: usize) -> Outgoing {
        let bytes = numbers * 4;
        let header = format!(
            "{{\"w\":{{\"dtype\":\"F32\",\"shape\":[{numbers}],\"data_offsets\":[0,{bytes}]}}}}"
        );
        let len = (header.len() as u64).to_le_bytes();
        let content = [&len[..], header.as_bytes(), &vec![0; bytes]].concat();
        Outgoing {
            noise: Some(NoiseWish {
                clip_norm: 1.0,
                noise_multiplier: 1.0,
            }),
            ..Outgoing::new("file", content)
        }
    }

    #[tokio::test]
    async fn the_ledger_is_free_for_others_while_noise_is_drawn_and_a_trial_costs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let rules = rules(Some(dir.path()), "main", 1 << 20).await.unwrap();
        let mut rng = Watching {
            inner: ChaCha20Rng::from_seed([1; 32]),
            dir: dir.path().to_path_buf(),
            draws: 0,
        };
        let sequence = async || {
            let file = open_ledger(dir.path()).await.unwrap();
            file.ledger().unwrap().sequence()
        };
        let tried = tried(weights(8), &rules, Some(dir.path()), &mut rng).await;
        let (prepared, unpaid) = tried.unwrap();
        assert!(rng.draws > 0 && prepared.preview().noise.is_some());
        assert_eq!(sequence().await, 0);
        rng.draws = 0;
        let paid = unpaid.unwrap().paid(&rules, &mut rng).await.unwrap();
        assert!(rng.draws > 0 && paid.content() != prepared.content());
        assert_eq!(sequence().await, 1);
    }

    #[tokio::test]
    async fn noise_on_no_numbers_costs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let rules = rules(Some(dir.path()), "main", 1 << 20).await.unwrap();
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let tried = tried(weights(0), &rules, Some(dir.path()), &mut rng).await;
        let (prepared, unpaid) = tried.unwrap();
        assert!(unpaid.is_none() && prepared.preview().noise.is_none());
        assert!(!prepared.quality().contains_key("privacy.epsilon"));
    }

    #[tokio::test]
    async fn what_cannot_be_noted_does_not_leave() {
        let dir = tempfile::tempdir().unwrap();
        let setup = Setup {
            key: Keypair::from_seed(&[1; 32]),
            certificate: None,
            traffic: Traffic::default(),
            store: Box::new(MemoryStore::new(1 << 20)),
            extra: dummy::Behaviour,
        };
        let node = node::start(net_config(Part::Headless, "main", 1 << 20), setup).unwrap();
        let prepared = |content: &[u8]| {
            let packet = node
                .handle
                .prepare(content.to_vec(), ShareOptions::new("note"));
            let packet = packet.unwrap();
            let entry = Entry::of_packet(packet.packet(), now());
            (packet, entry)
        };
        let (packet, mut entry) = prepared(b"too much to note");
        entry.name = Some("n".repeat(MAX_JOURNAL_JSON));
        let refused = publish(&node.handle, Some(dir.path()), (packet, entry)).await;
        assert!(refused.unwrap_err().to_string().contains("is full"));
        assert!(
            node.handle
                .query(Filter::default())
                .await
                .unwrap()
                .is_empty()
        );

        let published = publish(&node.handle, Some(dir.path()), prepared(b"a line")).await;
        let cid = published.unwrap().cid();
        let known = node.handle.query(Filter::default()).await.unwrap();
        assert!(known.len() == 1 && known[0].cid() == cid);
        let journal = open_ledger(dir.path()).await.unwrap().journal().unwrap();
        let noted: Vec<_> = journal.entries().map(|entry| &entry.cid).collect();
        assert_eq!(noted, [&cid.to_string()]);
        node.close().await;
    }
}
