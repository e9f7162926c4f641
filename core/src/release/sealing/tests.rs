use alloc::string::ToString;
use core::time::Duration;

use crate::packet::PacketDraft;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_233_600_000);
const DAY: Duration = Duration::from_secs(86_400);

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([5; 32])
}

fn identity(seed: u8) -> Keypair {
    Keypair::from_seed(&[seed; 32])
}

/// A keyring with one key, and its certificate.
fn keys(seed: u8) -> (Keyring, KeyCertificate) {
    let mut keyring = Keyring::new();
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    let (certificate, changed) =
        renew(&mut keyring, (&identity(seed), "main"), NOW, &mut rng).unwrap();
    assert!(changed);
    (keyring, certificate)
}

fn packet(author: u8, content: &[u8]) -> Packet {
    PacketDraft::inline(KEY_TYPE, content.to_vec())
        .sign(&identity(author), "main", NOW)
        .unwrap()
}

fn parcel() -> Parcel {
    Parcel {
        content_type: "file".into(),
        name: "plan.txt".into(),
        quality: [("privacy.epsilon".to_string(), 2.0)].into(),
        content: b"meet at noon".to_vec(),
    }
}

#[test]
fn a_key_is_kept_until_a_new_one_is_due_and_the_old_one_still_opens() {
    let (mut keyring, first) = keys(1);
    let at = |days: u32| NOW.saturating_add(DAY * days);
    let mut renewed = |days| {
        let identity = identity(1);
        renew(&mut keyring, (&identity, "main"), at(days), &mut rng()).unwrap()
    };
    assert_eq!(renewed(19), (first.clone(), false));
    let (second, changed) = renewed(20);
    assert!(changed && second.validity().epoch > first.validity().epoch);
    assert_ne!(second.key(), first.key());
    let (_, changed) = renewed(40);
    assert!(changed, "a third key");
    assert_eq!(keyring.secrets(at(40)).count(), 3);
    let (_, changed) = renew(&mut keyring, (&identity(1), "main"), at(60), &mut rng()).unwrap();
    assert!(changed, "a fourth key; the first is forgotten");
    assert_eq!(keyring.entries().count(), 3);
}

#[test]
fn a_key_made_while_the_clock_was_ahead_is_replaced_by_a_newer_one() {
    let (mut keyring, first) = keys(1);
    let earlier = Timestamp::from_millis(NOW.as_millis() - 3_600_000);
    let (second, changed) =
        renew(&mut keyring, (&identity(1), "main"), earlier, &mut rng()).unwrap();
    assert!(changed && second.validity().epoch > first.validity().epoch);
    second.recipient(earlier).unwrap();
}

/// A clock that was ahead once erased every key for good: nothing that had been sealed opened again.
#[test]
fn what_was_sealed_opens_however_often_the_clock_was_wrong_meanwhile() {
    let sender = ("main", identity(1).peer_id());
    for wrong in [60, 75, 400, 3000].map(|days| NOW.saturating_add(DAY * days)) {
        let (mut keyring, certificate) = keys(2);
        let recipients = [certificate.recipient(NOW).unwrap()];
        let envelope = seal_parcel(&parcel(), &recipients, sender, &mut rng()).unwrap();
        for time in [wrong, NOW, Timestamp::UNIX_EPOCH, NOW].repeat(20) {
            for hours in 0..3 {
                let time = time.saturating_add(DAY * hours / 24);
                let whose = (&identity(2), "main");
                let (newest, _) = renew(&mut keyring, whose, time, &mut rng()).unwrap();
                newest.recipient(time).unwrap();
            }
        }
        let opened = open_parcel(&envelope, &keyring, sender, NOW);
        assert_eq!(opened.unwrap(), parcel());
    }
}

#[test]
fn a_certificate_is_published_as_long_as_it_is_valid() {
    let (_, certificate) = keys(1);
    assert_eq!(key_options(&certificate, NOW).ttl_secs, 30 * 86_400);
    let later = NOW.saturating_add(DAY * 20);
    assert_eq!(key_options(&certificate, later).ttl_secs, 10 * 86_400);
    assert!(publishes(&packet(1, certificate.as_bytes()), &certificate));
    assert!(!publishes(&packet(2, certificate.as_bytes()), &certificate));
    assert!(!publishes(&packet(1, b""), &certificate));
}

#[test]
fn a_certificate_counts_only_in_a_packet_of_its_own_identity() {
    let (_, certificate) = keys(1);
    let found = certificate_of(&packet(1, certificate.as_bytes()), "main", NOW).unwrap();
    assert_eq!(found, certificate);
    let error = certificate_of(&packet(2, certificate.as_bytes()), "main", NOW).unwrap_err();
    assert!(matches!(error, KeyPacketError::Author { .. }), "{error}");
    let other = certificate_of(&packet(1, certificate.as_bytes()), "other", NOW).unwrap_err();
    assert!(other.to_string().contains("\"other\""), "{other}");
    let mut forged = certificate.as_bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    certificate_of(&packet(1, &forged), "main", NOW).unwrap_err();
    let expired = NOW.saturating_add(Keyring::LIFE);
    certificate_of(&packet(1, certificate.as_bytes()), "main", expired).unwrap_err();
}

#[test]
fn a_parcel_opens_for_its_recipient_in_a_packet_of_its_sender_alone() {
    let ((bob, certificate), (carol, _)) = (keys(2), keys(3));
    let sender = ("main", identity(1).peer_id());
    let recipients = [certificate.recipient(NOW).unwrap()];
    let envelope = seal_parcel(&parcel(), &recipients, sender, &mut rng()).unwrap();
    assert_eq!(open_parcel(&envelope, &bob, sender, NOW).unwrap(), parcel());
    let not_addressed = [
        open_parcel(&envelope, &carol, sender, NOW),
        open_parcel(&envelope, &bob, ("main", identity(4).peer_id()), NOW),
        open_parcel(&envelope, &bob, ("other", sender.1), NOW),
    ];
    for result in not_addressed {
        assert!(matches!(
            result,
            Err(OpenError::Seal(SealError::NotAddressed { .. }))
        ));
    }
}

#[test]
fn what_is_sealed_but_no_parcel_is_refused() {
    let (bob, certificate) = keys(2);
    let sender = ("main", identity(1).peer_id());
    let recipients = [certificate.recipient(NOW).unwrap()];
    let context = context(sender.0, sender.1);
    let envelope = seal(b"bare", &recipients, &context, &mut rng()).unwrap();
    let error = open_parcel(&envelope, &bob, sender, NOW).unwrap_err();
    assert!(matches!(error, OpenError::Parcel(_)), "{error}");
}
