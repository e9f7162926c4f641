//! The sealing keys of a headless peer: its own, from its data directory into the mesh, and those of others, out of it.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    path::{Path, PathBuf},
    time::Duration,
};

use chorus_core::{
    key::{Keypair, PeerId},
    net::{Handle, ShareOptions},
    node::{Filter, MAX_QUERY},
    packet::Packet,
    release::{
        Entry,
        sealing::{KEY_TYPE, certificate_of, key_options, publishes, renew},
    },
    seal::{Directory, KeyCertificate, Keyring, Recipient},
    time::Timestamp,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use crate::{
    cmd::{Failure, new_seed, privacy},
    store::{KeyringFile, StoreError, now_ms},
};

/// Where a peer's own keys are, and for whom and where they are certified.
pub(crate) struct OwnKeys {
    pub(crate) dir: PathBuf,
    pub(crate) identity: Keypair,
    pub(crate) network: String,
}

impl OwnKeys {
    /// The keyring, with a new key where one was due, and the certificate of the newest.
    ///
    /// # Errors
    /// The keyring's file is not usable, damaged or foreign.
    pub(crate) async fn renewed(&self) -> Result<(Keyring, KeyCertificate), Failure> {
        let file = open_soon(|| KeyringFile::open(&self.dir)).await?;
        let mut keyring = file.load()?;
        let whose = (&self.identity, self.network.as_str());
        let (certificate, has_changed) = renew(&mut keyring, whose, now(), &mut rng()?)?;
        if has_changed {
            file.save(&keyring)?;
        }
        Ok((keyring, certificate))
    }

    /// Hands the certificate to the relay, which passes it on; in the packet that is known already if there is one. A new
    /// one is noted in the data directory.
    ///
    /// # Errors
    /// The relay is not connected, does not answer or refuses, or the packet cannot be noted.
    pub(crate) async fn publish(
        &self,
        (handle, relay): (&Handle, PeerId),
        certificate: &KeyCertificate,
    ) -> Result<(), Failure> {
        let filter = Filter {
            packet_type: Some(KEY_TYPE.into()),
            author: Some(certificate.identity()),
            limit: MAX_QUERY,
            ..Filter::default()
        };
        let known = handle.query_peer(relay, filter).await?;
        let cid = match known.iter().find(|packet| publishes(packet, certificate)) {
            Some(packet) => packet.cid(),
            None => {
                let how = key_options(certificate, now());
                let options = ShareOptions {
                    ttl_secs: how.ttl_secs,
                    ..ShareOptions::new(how.packet_type)
                };
                let content = certificate.as_bytes().to_vec();
                let packet = handle.prepare(content, options)?;
                let entry = Entry::of_packet(packet.packet(), now());
                let published = privacy::publish(handle, Some(&self.dir), (packet, entry));
                published.await?.cid()
            }
        };
        Ok(handle.offer(relay, cid).await?)
    }

    /// As [`Self::publish`], where not being heard is no reason to stop: it is logged.
    pub(crate) async fn publish_or_warn(
        &self,
        to: (&Handle, PeerId),
        certificate: &KeyCertificate,
    ) -> bool {
        let published = self.publish(to, certificate).await;
        if let Err(error) = &published {
            tracing::warn!(%error, "the key that others seal to was not published");
        }
        published.is_ok()
    }

    /// Renews and publishes from time to time, as long as it is polled.
    pub(crate) async fn keep_published(&self, to: (&Handle, PeerId)) -> Infallible {
        let mut pause = CHECK_INTERVAL;
        loop {
            tokio::time::sleep(pause).await;
            let is_published = match self.renewed().await {
                Ok((_, certificate)) => self.publish_or_warn(to, &certificate).await,
                Err(error) => {
                    tracing::error!(%error, "keyring");
                    false
                }
            };
            pause = if is_published {
                CHECK_INTERVAL
            } else {
                RETRY_INTERVAL
            };
        }
    }
}

/// The keyring as it is.
///
/// # Errors
/// Its file is not usable, damaged or foreign.
pub(crate) async fn keyring(dir: &Path) -> Result<Keyring, Failure> {
    Ok(open_soon(|| KeyringFile::open(dir)).await?.load()?)
}

/// Finds whom content for each of `wanted` is sealed to now: the newest certificate that the relay knows.
///
/// Asks for everybody's keys first, so that the relay does not learn whom they are wanted for, and by name only for
/// those who are not among the newest.
///
/// # Errors
/// The relay does not answer, or has no valid certificate of one of them: names that one.
pub(crate) async fn recipients(
    (handle, relay): (&Handle, PeerId),
    wanted: &BTreeSet<PeerId>,
) -> Result<Vec<Recipient>, Failure> {
    let mut directory = Directory::new(wanted.len());
    let query = |author| Filter {
        packet_type: Some(KEY_TYPE.into()),
        author,
        limit: MAX_QUERY,
        ..Filter::default()
    };
    let (network, now) = (handle.network(), now());
    let newest = handle.query_peer(relay, query(None)).await?;
    learn(&mut directory, &newest, (network, now), wanted);
    let mut found = Vec::new();
    for peer in wanted {
        let mut refused = None;
        if directory.recipient(*peer, now).is_err() {
            let by_peer = handle.query_peer(relay, query(Some(*peer))).await?;
            refused = learn(&mut directory, &by_peer, (network, now), wanted);
        }
        let recipient = directory.recipient(*peer, now).map_err(|error| {
            let reason = refused.unwrap_or_else(|| error.to_string());
            Failure::Failed(format!(
                "nothing can be sealed to {peer}: {reason}. A peer publishes its key while \
                 `chorus-relay peer --data-dir` runs"
            ))
        })?;
        found.push(recipient);
    }
    Ok(found)
}

/// Takes in the certificates of `wanted`; returns why the last one that is refused is.
fn learn(
    directory: &mut Directory,
    packets: &[Packet],
    (network, now): (&str, Timestamp),
    wanted: &BTreeSet<PeerId>,
) -> Option<String> {
    let mut refused = None;
    for packet in packets.iter().filter(|p| wanted.contains(&p.author())) {
        match certificate_of(packet, network, now) {
            // An older one than is known is no news.
            Ok(certificate) => drop(directory.insert(certificate, now)),
            Err(error) => refused = Some(error.to_string()),
        }
    }
    refused
}

/// Opens a file that other processes hold for milliseconds.
pub(crate) async fn open_soon<T>(
    open: impl Fn() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    for _ in 0..OPEN_ATTEMPTS {
        match open() {
            Err(StoreError::InUse { .. }) => tokio::time::sleep(OPEN_PAUSE).await,
            other => return other,
        }
    }
    open()
}

/// A generator for keys and envelopes, seeded by the system.
///
/// # Errors
/// The system has no randomness.
pub(crate) fn rng() -> Result<ChaCha20Rng, Failure> {
    Ok(ChaCha20Rng::from_seed(*new_seed()?))
}

/// The time here.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(now_ms())
}

/// Time between looks whether a new key is due and the relay still knows the newest. Guess: a relay that lost what it
/// stored has the key again within the hour.
const CHECK_INTERVAL: Duration = Duration::from_secs(3600);
/// Time until the next attempt when the relay could not be told. Guess: it restarts within a minute.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// Attempts to open such a file, and the pause between them. Guess: 2 s in all, a hundred times what a write takes.
const OPEN_ATTEMPTS: u32 = 100;
/// See [`OPEN_ATTEMPTS`].
const OPEN_PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use chorus_core::{
        packet::PacketDraft,
        seal::{SealSecret, Validity},
    };

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_233_600_000);

    /// A packet by `author` with a certificate of `identity`'s key with this seed and epoch.
    fn packet(author: u8, identity: u8, seed_and_epoch: u8) -> Packet {
        let identity = Keypair::from_seed(&[identity; 32]);
        let validity = Validity {
            epoch: u64::from(seed_and_epoch),
            from: NOW,
            until: NOW.saturating_add(Keyring::LIFE),
        };
        let key = SealSecret::from_seed(&[seed_and_epoch; 32]).public();
        let certificate = KeyCertificate::issue(&identity, "main", key, validity).unwrap();
        PacketDraft::inline(KEY_TYPE, certificate.as_bytes().to_vec())
            .sign(&Keypair::from_seed(&[author; 32]), "main", NOW)
            .unwrap()
    }

    #[test]
    fn the_newest_key_of_those_who_are_wanted_is_learned_in_whatever_order_they_come() {
        let peer = Keypair::from_seed(&[1; 32]).peer_id();
        let wanted = BTreeSet::from([peer]);
        // Of another peer, of this one in another's packet, and twice its own.
        let mut packets = vec![
            packet(2, 2, 9),
            packet(2, 1, 8),
            packet(1, 1, 3),
            packet(1, 1, 5),
        ];
        for _ in 0..2 {
            let mut directory = Directory::new(wanted.len());
            assert_eq!(
                learn(&mut directory, &packets, ("main", NOW), &wanted),
                None
            );
            let expected = certificate_of(&packet(1, 1, 5), "main", NOW).unwrap();
            assert_eq!(directory.recipient(peer, NOW), expected.recipient(NOW));
            packets.reverse();
        }
    }

    #[test]
    fn why_a_key_is_refused_is_told() {
        let peer = Keypair::from_seed(&[1; 32]).peer_id();
        let wanted = BTreeSet::from([peer]);
        let mut directory = Directory::new(wanted.len());
        let expired = NOW.saturating_add(Keyring::LIFE);
        let refused = learn(
            &mut directory,
            &[packet(1, 1, 3)],
            ("main", expired),
            &wanted,
        );
        assert!(refused.unwrap().contains("was valid until"));
        directory.recipient(peer, expired).unwrap_err();
    }
}
