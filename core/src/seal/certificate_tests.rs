use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::digest::{read_hex, write_hex};
use crate::key::{KeyError, Keypair};
use crate::time::Timestamp;
use crate::wire::WireError;

const NOW: Timestamp = Timestamp::from_millis(1_795_233_600_000);
const DAY: Duration = Duration::from_secs(86_400);

fn identity() -> Keypair {
    Keypair::from_seed(&[7; 32])
}

fn secret(seed: u8) -> SealSecret {
    SealSecret::from_seed(&[seed; 32])
}

fn validity(epoch: u64) -> Validity {
    Validity {
        epoch,
        from: NOW,
        until: NOW.saturating_add(30 * DAY),
    }
}

fn certificate(seed: u8, epoch: u64) -> KeyCertificate {
    KeyCertificate::issue(&identity(), "main", secret(seed).public(), validity(epoch)).unwrap()
}

fn verified(bytes: &[u8], now: Timestamp) -> Result<KeyCertificate, SealKeyError> {
    UnverifiedCertificate::from_bytes(bytes)?.verify("main", now)
}

struct Hex<'a>(&'a [u8]);

impl core::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write_hex(f, self.0)
    }
}

/// A Python script written from the documentation alone made the same bytes; PyPI's `cryptography` signed them.
#[test]
fn a_certificate_keeps_its_bytes() {
    let certificate = certificate(1, 5);
    assert_eq!(
        alloc::format!("{}", Hex(certificate.as_bytes())),
        CERTIFICATE
    );
    let bytes: [u8; CERTIFICATE.len() / 2] = read_hex(CERTIFICATE).unwrap();
    let read = verified(&bytes, NOW).unwrap();
    assert_eq!(read, certificate);
    assert_eq!(
        (read.identity(), read.key(), read.validity()),
        (identity().peer_id(), secret(1).public(), validity(5))
    );
    assert_eq!(
        read.recipient(NOW).map(|recipient| recipient.key),
        Ok(secret(1).public())
    );
}

#[test]
fn a_certificate_that_is_changed_or_cut_anywhere_is_refused() {
    let bytes = certificate(1, 5).as_bytes().to_vec();
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            assert!(verified(&changed, NOW).is_err(), "byte {at}");
        }
        assert!(verified(&bytes[..at], NOW).is_err(), "{at} bytes");
    }
    let longer = [&bytes[..], &[0]].concat();
    let trailing = WireError::Trailing {
        position: bytes.len(),
        left: 1,
    };
    assert_eq!(verified(&longer, NOW), Err(SealKeyError::Wire(trailing)));
    let limit = LimitError {
        what: "key certificate bytes",
        got: 300,
        max: 241,
    };
    assert_eq!(KeyCertificate::MAX_LEN, 241);
    assert_eq!(verified(&[0; 300], NOW), Err(SealKeyError::Limit(limit)));
}

#[test]
fn a_certificate_is_for_one_network_and_one_identity() {
    let certificate = certificate(1, 5);
    let read = UnverifiedCertificate::from_bytes(certificate.as_bytes()).unwrap();
    assert_eq!(
        read.verify("test", NOW),
        Err(SealKeyError::Network {
            expected: "test".into(),
            got: "main".into()
        })
    );
    // Another identity's id, and the first one's signature.
    let mallory = Keypair::from_seed(&[8; 32]).peer_id();
    let mut forged = certificate.as_bytes().to_vec();
    let at = forged
        .windows(38)
        .position(|window| window == identity().peer_id().to_bytes())
        .unwrap();
    forged[at..at + 38].copy_from_slice(&mallory.to_bytes());
    assert_eq!(
        verified(&forged, NOW),
        Err(SealKeyError::Identity(KeyError::Signature {
            signer: mallory
        }))
    );
}

#[test]
fn a_certificate_holds_from_its_start_to_its_end() {
    let certificate = certificate(1, 5);
    let (identity, Validity { from, until, .. }) = (identity().peer_id(), certificate.validity());
    let early =
        Timestamp::from_millis(from.as_millis() - Validity::MAX_SKEW.as_millis() as u64 - 1);
    let last = Timestamp::from_millis(until.as_millis() - 1);
    for now in [early.saturating_add(Duration::from_millis(1)), from, last] {
        assert!(verified(certificate.as_bytes(), now).is_ok());
        assert!(certificate.recipient(now).is_ok());
    }
    let not_yet = SealKeyError::NotYet {
        identity,
        from,
        now: early,
    };
    assert_eq!(
        verified(certificate.as_bytes(), early),
        Err(not_yet.clone())
    );
    assert_eq!(certificate.recipient(early), Err(not_yet));
    let expired = SealKeyError::Expired {
        identity,
        until,
        now: until,
    };
    assert_eq!(
        verified(certificate.as_bytes(), until),
        Err(expired.clone())
    );
    assert_eq!(certificate.recipient(until), Err(expired));
}

#[test]
fn no_certificate_is_issued_or_read_for_an_empty_reversed_or_endless_interval() {
    let key = secret(1).public();
    let longest = NOW.saturating_add(Validity::MAX);
    for (from, until, is_allowed) in [
        (NOW, NOW, false),
        (longest, NOW, false),
        (NOW, longest, true),
        (NOW, longest.saturating_add(Duration::from_millis(1)), false),
    ] {
        let validity = Validity {
            epoch: 1,
            from,
            until,
        };
        let issued = KeyCertificate::issue(&identity(), "main", key, validity);
        assert_eq!(issued.is_ok(), is_allowed, "{from} to {until}");
        // The same, written by somebody who does not check.
        let mut bytes = certificate(1, 1).as_bytes().to_vec();
        let end = bytes.len() - 64;
        bytes[end - 16..end - 8].copy_from_slice(&from.as_millis().to_be_bytes());
        bytes[end - 8..end].copy_from_slice(&until.as_millis().to_be_bytes());
        let signature = identity().sign(&bytes[..end]);
        bytes[end..].copy_from_slice(signature.as_bytes());
        let interval = SealKeyError::Interval {
            from,
            until,
            max_secs: 90 * 86_400,
        };
        let read = verified(&bytes, NOW).map(|read| read.validity());
        assert_eq!(
            read,
            if is_allowed {
                Ok(validity)
            } else {
                Err(interval)
            }
        );
    }
}

#[test]
fn a_certificate_for_a_point_of_low_order_is_refused_even_when_signed() {
    let mut bytes = certificate(1, 1).as_bytes().to_vec();
    let end = bytes.len() - 64;
    bytes[end - 56..end - 24].fill(0);
    let signature = identity().sign(&bytes[..end]);
    bytes[end..].copy_from_slice(signature.as_bytes());
    assert_eq!(
        verified(&bytes, NOW),
        Err(SealKeyError::Point {
            got: "0".repeat(64)
        })
    );
}

#[test]
fn an_old_secret_opens_until_its_validity_and_the_overlap_end() {
    let (mut keyring, start) = (Keyring::new(), NOW);
    assert!(keyring.is_due(start));
    keyring
        .rotate(secret(1), &identity(), "main", start)
        .unwrap();
    let renewal = start.saturating_add(20 * DAY);
    assert!(!keyring.is_due(Timestamp::from_millis(renewal.as_millis() - 1)));
    assert!(keyring.is_due(renewal));
    keyring
        .rotate(secret(2), &identity(), "main", renewal)
        .unwrap();
    assert!(!keyring.is_due(renewal));
    let next = start.saturating_add(40 * DAY);
    keyring
        .rotate(secret(3), &identity(), "main", next)
        .unwrap();

    let keys = |keyring: &Keyring, now| -> Vec<SealKey> {
        keyring.secrets(now).map(SealSecret::public).collect()
    };
    let end = start.saturating_add(60 * DAY);
    let before = Timestamp::from_millis(end.as_millis() - 1);
    assert_eq!(
        keys(&keyring, before),
        [3, 2, 1].map(|seed| secret(seed).public())
    );
    assert_eq!(
        keys(&keyring, end),
        [3, 2].map(|seed| secret(seed).public())
    );
    assert_eq!(
        (keyring.forget_expired(before), keyring.entries().count()),
        (0, 3)
    );
    assert_eq!(
        (keyring.forget_expired(end), keyring.entries().count()),
        (1, 2)
    );

    // What was sealed at the last moment still opens just before that end, and not with the new secret alone.
    let context = Context {
        network: "main",
        author: identity().peer_id(),
        purpose: "note",
    };
    let certificate = certificate(1, 5);
    let last = Timestamp::from_millis(certificate.validity().until.as_millis() - 1);
    let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::from_seed([1; 32]);
    let envelope = seal(
        b"late",
        &[certificate.recipient(last).unwrap()],
        &context,
        &mut rng,
    )
    .unwrap();
    assert!(open(&envelope, keyring.secrets(before), &context).is_err());
    let both = [(secret(1), validity(5)), (secret(2), validity(6))];
    let keyring = Keyring::restore(both).unwrap();
    assert_eq!(
        open(&envelope, keyring.secrets(before), &context).unwrap(),
        b"late"
    );
}

#[test]
fn a_keyring_survives_storage_and_stays_ahead_when_it_is_lost() {
    let mut keyring = Keyring::new();
    let first = keyring.rotate(secret(1), &identity(), "main", NOW).unwrap();
    let second = keyring.rotate(secret(2), &identity(), "main", NOW).unwrap();
    assert_eq!(first.validity().epoch, NOW.as_millis() / 1000);
    assert_eq!(second.validity().epoch, first.validity().epoch + 1);

    let stored: Vec<_> = keyring
        .entries()
        .map(|(secret, validity)| (secret.seed(), *validity))
        .collect();
    let entries = stored
        .iter()
        .rev()
        .map(|(seed, validity)| (SealSecret::from_seed(seed), *validity));
    let restored = Keyring::restore(entries).unwrap();
    let keys = |keyring: &Keyring| -> Vec<SealKey> {
        keyring.secrets(NOW).map(SealSecret::public).collect()
    };
    assert_eq!(keys(&restored), keys(&keyring));

    let later = NOW.saturating_add(Duration::from_secs(60));
    let anew = Keyring::new()
        .rotate(secret(3), &identity(), "main", later)
        .unwrap();
    assert!(anew.validity().epoch > second.validity().epoch);
}

#[test]
fn a_keyring_is_bounded_and_refuses_rather_than_forget_what_still_opens() {
    let mut keyring = Keyring::new();
    for seed in 0..8 {
        keyring
            .rotate(secret(seed), &identity(), "main", NOW)
            .unwrap();
    }
    let limit = LimitError {
        what: "sealing secrets",
        got: 9,
        max: 8,
    };
    let refused = keyring.rotate(secret(8), &identity(), "main", NOW);
    assert_eq!(refused, Err(SealKeyError::Limit(limit)));
    let later = NOW.saturating_add(60 * DAY);
    assert!(
        keyring
            .rotate(secret(8), &identity(), "main", later)
            .is_ok()
    );
    let left: Vec<_> = keyring.secrets(later).map(SealSecret::public).collect();
    assert_eq!(left, [secret(8).public()]);
    assert_eq!(keyring.entries().count(), 8, "the oldest made room");
    let nine = (0..9).map(|seed| (secret(seed), validity(seed.into())));
    assert!(matches!(Keyring::restore(nine), Err(SealKeyError::Limit(error)) if error == limit));
}

/// A keyring on the day after the third of its keys was made, all of them in time; and that day.
fn renewed_twice() -> (Keyring, Timestamp) {
    let mut keyring = Keyring::new();
    for (seed, days) in [(1_u8, 0_u32), (2, 20), (3, 40)] {
        let day = NOW.saturating_add(days * DAY);
        keyring
            .rotate(secret(seed), &identity(), "main", day)
            .unwrap();
    }
    (keyring, NOW.saturating_add(41 * DAY))
}

/// A clock that was ahead once erased every secret for good.
#[test]
fn what_opens_still_opens_after_the_clock_was_ahead_for_days() {
    for days in (30_u32..100).chain([400, 3000, 100_000]) {
        let (mut keyring, now) = renewed_twice();
        let before: Vec<_> = keyring.secrets(now).map(SealSecret::public).collect();
        assert_eq!(before, [3, 2, 1].map(|seed| secret(seed).public()));
        // Twice, and for as long as nearly a month; each time a key is made that is wrong when the clock is right again.
        for (seed, more) in [(4_u8, 0_u32), (6, 50)] {
            let ahead = now.saturating_add(DAY * days.saturating_add(more));
            keyring.forget_expired(ahead);
            keyring
                .rotate(secret(seed), &identity(), "main", ahead)
                .unwrap();
            keyring.forget_expired(ahead.saturating_add(29 * DAY));
            keyring.forget_expired(now);
            keyring
                .rotate(secret(seed + 1), &identity(), "main", now)
                .unwrap();
        }
        let after: Vec<_> = keyring.secrets(now).map(SealSecret::public).collect();
        assert!(
            before.iter().all(|key| after.contains(key)),
            "{days} days ahead"
        );
    }
}

#[test]
fn whoever_was_away_loses_what_opens_nothing_a_month_after_coming_back() {
    let (mut keyring, _) = renewed_twice();
    let back = NOW.saturating_add(400 * DAY);
    assert!(keyring.is_due(back) && keyring.newest(back).is_none());
    keyring
        .rotate(secret(4), &identity(), "main", back)
        .unwrap();
    assert_eq!(keyring.secrets(back).count(), 1);
    assert_eq!(keyring.entries().count(), 4);
    let late = back.saturating_add(29 * DAY);
    assert_eq!(keyring.forget_expired(late), 0);
    let month = back.saturating_add(30 * DAY);
    assert_eq!(keyring.forget_expired(month), 3);

    // Who comes so rarely that keys always end in between loses them one time later.
    let again = back.saturating_add(100 * DAY);
    assert_eq!(keyring.forget_expired(again), 0);
    keyring
        .rotate(secret(5), &identity(), "main", again)
        .unwrap();
    let third = again.saturating_add(100 * DAY);
    assert_eq!(keyring.forget_expired(third), 1);
    assert_eq!(keyring.entries().count(), 1);
}

#[test]
fn only_a_later_epoch_replaces_a_certificate() {
    let mut directory = Directory::new(4);
    let peer = identity().peer_id();
    assert_eq!(
        directory.recipient(peer, NOW),
        Err(SealKeyError::Unknown { identity: peer })
    );
    assert_eq!(directory.insert(certificate(1, 5), NOW), Ok(true));
    assert_eq!(directory.insert(certificate(1, 5), NOW), Ok(false));
    for (seed, epoch) in [(2, 5), (2, 4), (1, 4)] {
        let refused = SealKeyError::Epoch {
            identity: peer,
            known: 5,
            got: epoch,
        };
        assert_eq!(
            directory.insert(certificate(seed, epoch), NOW),
            Err(refused)
        );
        assert_eq!(
            directory.recipient(peer, NOW).unwrap().key,
            secret(1).public()
        );
    }
    assert_eq!(directory.insert(certificate(2, 6), NOW), Ok(true));
    assert_eq!(
        directory.recipient(peer, NOW).unwrap().key,
        secret(2).public()
    );
    let end = validity(6).until;
    assert!(matches!(
        directory.recipient(peer, end),
        Err(SealKeyError::Expired { .. })
    ));
    assert!(directory.forget(peer) && !directory.forget(peer));
}

#[test]
fn a_directory_is_bounded_and_only_expired_entries_make_room() {
    let mut directory = Directory::new(2);
    let of = |seed: u8, until: Duration| {
        let validity = Validity {
            epoch: 1,
            from: NOW,
            until: NOW.saturating_add(until),
        };
        KeyCertificate::issue(
            &Keypair::from_seed(&[seed; 32]),
            "main",
            secret(1).public(),
            validity,
        )
        .unwrap()
    };
    assert_eq!(directory.insert(of(1, DAY), NOW), Ok(true));
    assert_eq!(directory.insert(of(2, 2 * DAY), NOW), Ok(true));
    let limit = LimitError {
        what: "identities with a key certificate",
        got: 3,
        max: 2,
    };
    assert_eq!(
        directory.insert(of(3, DAY), NOW),
        Err(SealKeyError::Limit(limit))
    );
    assert_eq!(directory.insert(of(1, DAY), NOW), Ok(false));
    assert_eq!(
        directory.insert(of(3, 3 * DAY), NOW.saturating_add(DAY)),
        Ok(true)
    );
    assert!(
        directory
            .recipient(Keypair::from_seed(&[1; 32]).peer_id(), NOW)
            .is_err()
    );
    assert!(
        directory
            .recipient(Keypair::from_seed(&[2; 32]).peer_id(), NOW)
            .is_ok()
    );
}

/// Of the identity with seed 7 for the secret with seed 1, epoch 5, 30 days from 2026-11-21T04:00:00Z.
const CERTIFICATE: &str = "\
1163686f7275732f7365616c2d6b65792f31046d61696e002408011220ea4a6c63e29c520abef5507b132ec5f9954776\
aebebe7b92421eea691446d22c41852320ff367495fa522c94cb83af391e4e89018392725bbf2098dd931bc424000000\
0000000005000001a1fc42d200000001a296c19a00db3a004eac16319fcdb567258b99e72bbd7603d743213c84de779c\
32d7abf715a4e78e33ed748396fb4abe73fa5bea8e36fe15298bbb153b98c8c23dde04c906";
