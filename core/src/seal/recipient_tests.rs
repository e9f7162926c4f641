use alloc::vec;
use alloc::vec::Vec;

use super::header::{derive, header_len, wrap};
use super::tests::{context, hex, info, opened, recipient, rng, sealed, secret, start_of_header};
use super::*;
use crate::digest::read_hex;
use crate::key::Keypair;

#[test]
fn nobody_but_the_recipient_opens() {
    let envelope = sealed(b"hello", 2);
    let others = [secret(2), secret(3)];
    assert_eq!(
        open(&envelope, &others, &context()),
        Err(SealError::NotAddressed {
            slots: 1,
            secrets: 2
        })
    );
    assert_eq!(
        open(&envelope, [], &context()),
        Err(SealError::NotAddressed {
            slots: 1,
            secrets: 0
        })
    );
    // With the right one among them it opens, whatever its place.
    assert_eq!(
        open(&envelope, [&others[0], &secret(1)], &context()).unwrap(),
        b"hello"
    );
}

#[test]
fn a_seal_replayed_under_another_author_network_or_purpose_does_not_open() {
    let envelope = sealed(b"hello", 2);
    let mallory = Keypair::from_seed(&[8; 32]).peer_id();
    for replayed in [
        Context {
            author: mallory,
            ..context()
        },
        Context {
            network: "test",
            ..context()
        },
        Context {
            purpose: "weights",
            ..context()
        },
        // The border between network and purpose is bound too.
        Context {
            network: "mainnote",
            purpose: "",
            ..context()
        },
    ] {
        assert_eq!(
            open(&envelope, [&secret(1)], &replayed),
            Err(SealError::NotAddressed {
                slots: 1,
                secrets: 1
            })
        );
    }
}

#[test]
fn each_of_sixty_four_recipients_opens_and_a_sixty_fifth_is_one_too_many() {
    let secrets: Vec<_> = (0..65).map(secret).collect();
    let recipients: Vec<_> = secrets.iter().map(recipient).collect();
    let envelope = seal(b"hello", &recipients[..64], &context(), &mut rng(2)).unwrap();
    assert_eq!(envelope.len(), sealed_len(5, 64));
    for secret in &secrets[..64] {
        assert_eq!(open(&envelope, [secret], &context()).unwrap(), b"hello");
    }
    assert_eq!(
        open(&envelope, [&secrets[64]], &context()),
        Err(SealError::NotAddressed {
            slots: 64,
            secrets: 1
        })
    );
    let limit = LimitError {
        what: "recipients",
        got: 65,
        max: 64,
    };
    assert_eq!(
        seal(b"hello", &recipients, &context(), &mut rng(2)),
        Err(SealError::Limit(limit))
    );
    assert_eq!(
        seal(b"hello", &[], &context(), &mut rng(2)),
        Err(SealError::NoRecipient)
    );
}

#[test]
fn the_number_of_slots_is_a_power_of_two_and_counts_nobody_twice() {
    let all: Vec<_> = (1..=9).map(|seed| recipient(&secret(seed))).collect();
    for (recipients, slots) in [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (9, 16)] {
        let twice = [&all[..recipients], &all[..recipients]].concat();
        let envelope = seal(&[], &twice, &context(), &mut rng(2)).unwrap();
        assert_eq!(envelope.len(), header_len(slots) + TAG);
        assert_eq!(envelope.len(), sealed_len(0, recipients));
    }
}

#[test]
fn the_order_of_slots_says_nothing_of_the_order_of_recipients() {
    let recipients = [1, 2, 3].map(|seed| recipient(&secret(seed)));
    let mut places = [0; 4];
    for seed in 0..64 {
        let envelope = seal(&[], &recipients, &context(), &mut rng(seed)).unwrap();
        // A slot that is spoilt is the recipient's where it then opens nothing.
        let place = (0..4).find(|slot| {
            let mut spoilt = envelope.clone();
            spoilt[15 + slot * SLOT] ^= 1;
            matches!(opened(&spoilt), Err(SealError::NotAddressed { .. }))
        });
        places[place.unwrap()] += 1;
    }
    // 16 each are expected; below 5 or above 27 has probability under 1 in 1,000 (binomial, n = 64, p = 1/4).
    assert!(
        places.iter().all(|count| (5..=27).contains(count)),
        "{places:?}"
    );
}

#[test]
fn nothing_in_an_envelope_is_common_to_two_for_the_same_recipient() {
    let (one, two) = (sealed(b"hello", 2), sealed(b"hello", 3));
    let public = secret(1).public();
    assert!(!one.windows(32).any(|window| window == public.as_bytes()));
    let secret_part = |envelope: &[u8]| -> Vec<[u8; 8]> {
        envelope[15..]
            .windows(8)
            .map(|window| window.try_into().unwrap())
            .collect()
    };
    let known = secret_part(&one);
    assert!(
        !secret_part(&two)
            .iter()
            .any(|window| known.contains(window))
    );
}

#[test]
fn a_change_to_the_slot_of_somebody_else_is_found_by_everyone() {
    let secrets = [1, 2, 3].map(secret);
    let envelope = seal(
        b"hello",
        &secrets.each_ref().map(recipient),
        &context(),
        &mut rng(2),
    );
    let envelope = envelope.unwrap();
    for slot in 0..4 {
        let mut changed = envelope.clone();
        changed[15 + slot * SLOT + 40] ^= 1;
        let found = secrets
            .each_ref()
            .map(|secret| open(&changed, [secret], &context()));
        let not_addressed = SealError::NotAddressed {
            slots: 4,
            secrets: 1,
        };
        let own = found
            .iter()
            .filter(|found| **found == Err(not_addressed.clone()))
            .count();
        let others = found
            .iter()
            .filter(|found| **found == Err(SealError::Commitment))
            .count();
        assert!(own <= 1 && own + others == 3, "slot {slot}: {found:?}");
    }
}

#[test]
fn a_sender_cannot_give_two_recipients_different_content_keys() {
    let (one, two) = ([1; 32], [2; 32]);
    let mut envelope = start_of_header(1);
    envelope.extend(wrap(&secret(1).public(), &info(), &one, &mut rng(5)).unwrap());
    envelope.extend(wrap(&secret(2).public(), &info(), &two, &mut rng(6)).unwrap());
    let (commitment, mut stream) = derive(&one, &info(), &envelope).unwrap();
    envelope.extend(commitment);
    let mut chunk = vec![0; 5 + TAG];
    stream.seal(b"hello", true, &mut chunk).unwrap();
    envelope.extend(chunk);
    assert_eq!(opened(&envelope).unwrap(), b"hello");
    assert_eq!(
        open(&envelope, [&secret(2)], &context()),
        Err(SealError::Commitment)
    );
}

/// The points of RFC 7748's curve whose order divides 8, and other encodings of them (Wycheproof, `LowOrderPublic`).
#[test]
fn points_of_low_order_are_refused_as_keys_and_open_nothing_as_encapsulated_keys() {
    let (mut one, mut minus_one, mut prime, mut next) =
        ([0; 32], [0xff; 32], [0xff; 32], [0xff; 32]);
    one[0] = 1;
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    (prime[0], prime[31]) = (0xed, 0x7f);
    (next[0], next[31]) = (0xee, 0x7f);
    let order_8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    let other_8 = "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157";
    let [order_8, other_8] = [order_8, other_8].map(|text| read_hex(text).unwrap());
    for point in [[0; 32], one, minus_one, prime, next, order_8, other_8] {
        let refused = SealKeyError::Point { got: hex(&point) };
        assert_eq!(SealKey::from_bytes(&point), Err(refused));
        let mut envelope = sealed(b"hello", 2);
        envelope[15..47].copy_from_slice(&point);
        assert!(matches!(
            opened(&envelope),
            Err(SealError::NotAddressed { .. })
        ));
        // Past the check above, HPKE itself refuses to seal to it.
        let forged = SealKey(point);
        assert_eq!(
            wrap(&forged, &info(), &[0; 32], &mut rng(1)),
            Err(SealError::Recipient { key: forged })
        );
    }
}

#[test]
fn a_key_has_one_encoding() {
    let key = secret(1).public();
    assert_eq!(SealKey::from_bytes(key.as_bytes()), Ok(key));
    let mut high_bit = *key.as_bytes();
    high_bit[31] |= 0x80;
    assert!(matches!(
        SealKey::from_bytes(&high_bit),
        Err(SealKeyError::Point { .. })
    ));
    // 9 and 9 + p are the same point, the base point.
    let (mut nine, mut nine_again) = ([0; 32], [0xff; 32]);
    nine[0] = 9;
    (nine_again[0], nine_again[31]) = (0xf6, 0x7f);
    assert!(SealKey::from_bytes(&nine).is_ok());
    assert!(matches!(
        SealKey::from_bytes(&nine_again),
        Err(SealKeyError::Point { .. })
    ));
}
