//! Known answers: RFC 9180 for what seals content keys, and Google's Wycheproof for every primitive below it.

use alloc::vec;
use alloc::vec::Vec;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce};
use hkdf::Hkdf;
use hpke::aead::{AeadTag, ChaCha20Poly1305 as HpkeCipher};
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{
    Deserializable as _, OpModeR, OpModeS, Serializable as _, setup_receiver, setup_sender_with_rng,
};
use rand_core::{CryptoRng, RngCore};
use wycheproof::TestResult;

use super::header::Generator;
use super::{SealKey, SealSecret};
use crate::digest::read_hex;
use crate::key::{PublicKey, Signature};

/// Gives the bytes it was made of: the seam through which a vector's ephemeral key enters.
struct Fixed(&'static str);

impl RngCore for Fixed {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&unhex(self.0));
    }
}

impl CryptoRng for Fixed {}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().as_chunks::<2>().0;
    let byte =
        |pair: &[u8; 2]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(byte).collect()
}

/// RFC 9180, appendix A.2.1: base mode of DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305.
const INFO: &str = "4f6465206f6e2061204772656369616e2055726e";
const IKM_E: &str = "909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b";
const IKM_R: &str = "1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df";
const PK_R: &str = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
const SK_R: &str = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb";
const ENC: &str = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
const PLAINTEXT: &str = "4265617574792069732074727574682c20747275746820626561757479";
/// The key schedule's outputs.
const KEY: &str = "ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91";
const BASE_NONCE: &str = "5c4d98150661b848853b547f";
/// Appendix A.2.1.1: sequence number, ciphertext with its tag.
const ENCRYPTIONS: [(u64, &str); 6] = [
    (
        0,
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
    ),
    (
        1,
        "6b53c051e4199c518de79594e1c4ab18b96f081549d45ce015be002090bb119e85285337cc95ba5f59992dc98c",
    ),
    (
        2,
        "71146bd6795ccc9c49ce25dda112a48f202ad220559502cef1f34271e0cb4b02b4f10ecac6f48c32f878fae86b",
    ),
    (
        4,
        "63357a2aa291f5a4e5f27db6baa2af8cf77427c7c1a909e0b37214dd47db122bb153495ff0b02e9e54a50dbe16",
    ),
    (
        255,
        "18ab939d63ddec9f6ac2b60d61d36a7375d2070c9b683861110757062c52b8880a5f6b3936da9cd6c23ef2a95c",
    ),
    (
        256,
        "7a4a13e9ef23978e2c520fd4d2e757514ae160cd0cd05e556ef692370ca53076214c0c40d4c728d6ed9e727a5b",
    ),
];
/// Appendix A.2.1.2: exporter context, exported value.
const EXPORTS: [(&str, &str); 3] = [
    (
        "",
        "4bbd6243b8bb54cec311fac9df81841b6fd61f56538a775e7c80a9f40160606e",
    ),
    (
        "00",
        "8c1df14732580e5501b00f82b10a1647b40713191b7c1240ac80e2b68808ba69",
    ),
    (
        "54657374436f6e74657874",
        "5acb09211139c43b3090489a9da433e8a30ee7188ba8b0a9a1ccf0c229283e53",
    ),
];

#[test]
fn a_key_pair_is_derived_from_its_seed_as_rfc_9180_says() {
    let secret = SealSecret::from_seed(&read_hex(IKM_R).unwrap());
    assert_eq!(
        secret.public(),
        SealKey::from_bytes(&read_hex(PK_R).unwrap()).unwrap()
    );
    // The appendix prints the scalar before it is clamped (RFC 9180, section 7.1.2; RFC 7748, section 5).
    let mut scalar: [u8; 32] = read_hex(SK_R).unwrap();
    scalar[0] &= 248;
    scalar[31] = scalar[31] & 127 | 64;
    assert_eq!(<[u8; 32]>::from(secret.as_hpke().to_bytes()), scalar);
}

#[test]
fn sealing_gives_the_bytes_of_rfc_9180() {
    let public = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(&unhex(PK_R)).unwrap();
    let (enc, mut context) = setup_sender_with_rng::<HpkeCipher, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        &unhex(INFO),
        &mut Generator(&mut Fixed(IKM_E)),
    )
    .unwrap();
    assert_eq!(enc.to_bytes().to_vec(), unhex(ENC));
    for sequence in 0..=256 {
        let mut sealed = unhex(PLAINTEXT);
        let aad = alloc::format!("Count-{sequence}");
        let tag = context
            .seal_inout_detached(InOutBuf::from(&mut sealed[..]), aad.as_bytes())
            .unwrap();
        sealed.extend(tag.to_bytes());
        if let Some((_, expected)) = ENCRYPTIONS.iter().find(|(number, _)| *number == sequence) {
            assert_eq!(sealed, unhex(expected), "sequence number {sequence}");
        }
    }
    assert_exports(|exporter, out| context.export(exporter, out).unwrap());
}

/// Both ends of a context export the appendix's values.
fn assert_exports(export: impl Fn(&[u8], &mut [u8])) {
    for (exporter_context, expected) in EXPORTS {
        let mut exported = [0; 32];
        export(&unhex(exporter_context), &mut exported);
        assert_eq!(exported.to_vec(), unhex(expected));
    }
}

#[test]
fn opening_reads_the_bytes_of_rfc_9180() {
    let secret = SealSecret::from_seed(&read_hex(IKM_R).unwrap());
    let enc = <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(&unhex(ENC)).unwrap();
    let mut context = setup_receiver::<HpkeCipher, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        secret.as_hpke(),
        &enc,
        &unhex(INFO),
    )
    .unwrap();
    for (sequence, sealed) in &ENCRYPTIONS[..3] {
        let sealed = unhex(sealed);
        let (sealed, tag) = sealed.split_last_chunk::<16>().unwrap();
        let (mut opened, aad) = (sealed.to_vec(), alloc::format!("Count-{sequence}"));
        let tag = AeadTag::from_bytes(tag).unwrap();
        context
            .open_inout_detached(InOutBuf::from(&mut opened[..]), aad.as_bytes(), &tag)
            .unwrap();
        assert_eq!(opened, unhex(PLAINTEXT));
    }
    assert_exports(|exporter, out| context.export(exporter, out).unwrap());
}

/// The chunks' cipher, under the key and nonces that the appendix's key schedule gives.
#[test]
fn the_cipher_of_the_chunks_gives_the_bytes_of_rfc_9180s_key_schedule() {
    let cipher = ChaCha20Poly1305::new_from_slice(&unhex(KEY)).unwrap();
    for (sequence, expected) in ENCRYPTIONS {
        let mut nonce = Nonce::try_from(&unhex(BASE_NONCE)[..]).unwrap();
        for (byte, counter) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
            *byte ^= counter;
        }
        let (mut sealed, aad) = (unhex(PLAINTEXT), alloc::format!("Count-{sequence}"));
        let tag = cipher
            .encrypt_inout_detached(&nonce, aad.as_bytes(), InOutBuf::from(&mut sealed[..]))
            .unwrap();
        sealed.extend(tag);
        assert_eq!(sealed, unhex(expected));
    }
}

#[test]
fn signatures_pass_wycheproof() {
    use wycheproof::eddsa::{TestName, TestSet};
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let mut ran = 0;
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk[..].try_into().unwrap();
        let key = PublicKey::from_bytes(&key).unwrap();
        for test in &group.tests {
            // A signature of another length never becomes one here.
            let is_valid = <[u8; 64]>::try_from(&test.sig[..])
                .is_ok_and(|bytes| key.verify(&test.msg, &Signature::from_bytes(bytes)).is_ok());
            assert_eq!(
                is_valid,
                test.result == TestResult::Valid,
                "{} {}",
                test.tc_id,
                test.comment
            );
            ran += 1;
        }
    }
    assert_eq!((ran, set.number_of_tests), (151, 151));
}

#[test]
fn key_agreement_passes_wycheproof() {
    use wycheproof::xdh::{TestFlag, TestName, TestSet};
    let set = TestSet::load(TestName::X25519).unwrap();
    let (mut ran, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let [secret, public]: [[u8; 32]; 2] =
            [&test.private_key, &test.public_key].map(|bytes| bytes[..].try_into().unwrap());
        let shared = x25519_dalek::x25519(secret, public);
        assert_eq!(
            shared[..],
            test.shared_secret[..],
            "{} {}",
            test.tc_id,
            test.comment
        );

        // What our keys refuse is what gives zero, and second encodings; nothing else.
        let is_refused = SealKey::from_bytes(&public).is_err();
        let has_flag = |flag| test.flags.contains(&flag);
        let is_second_encoding = has_flag(TestFlag::NonCanonicalPublic) || public[31] & 0x80 != 0;
        assert_eq!(
            is_refused,
            shared == [0; 32] || is_second_encoding,
            "{} {}",
            test.tc_id,
            test.comment
        );
        (ran, refused) = (ran + 1, refused + usize::from(is_refused));
    }
    assert_eq!((ran, set.number_of_tests, refused), (518, 518, 44));
}

#[test]
fn the_cipher_passes_wycheproof() {
    use wycheproof::aead::{TestName, TestSet};
    let set = TestSet::load(TestName::ChaCha20Poly1305).unwrap();
    let mut ran = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        ran += 1;
        let Ok(nonce) = Nonce::try_from(&test.nonce[..]) else {
            assert_eq!(
                test.result,
                TestResult::Invalid,
                "{} {}",
                test.tc_id,
                test.comment
            );
            continue;
        };
        let cipher = ChaCha20Poly1305::new_from_slice(&test.key).unwrap();
        let tag: [u8; 16] = test.tag[..].try_into().unwrap();
        let mut opened = vec![0; test.ct.len()];
        let buffer = InOutBuf::new(&test.ct, &mut opened).unwrap();
        let result = cipher.decrypt_inout_detached(&nonce, &test.aad, buffer, &tag.into());
        if test.result == TestResult::Invalid {
            assert!(result.is_err(), "{} {}", test.tc_id, test.comment);
            continue;
        }
        assert_eq!(
            (result, &opened[..]),
            (Ok(()), &test.pt[..]),
            "{}",
            test.tc_id
        );
        let buffer = InOutBuf::from(&mut opened[..]);
        let sealed = cipher
            .encrypt_inout_detached(&nonce, &test.aad, buffer)
            .unwrap();
        assert_eq!(
            (&opened[..], &sealed[..]),
            (&test.ct[..], &test.tag[..]),
            "{}",
            test.tc_id
        );
    }
    assert_eq!((ran, set.number_of_tests), (325, 325));
}

#[test]
fn key_derivation_passes_wycheproof() {
    use wycheproof::hkdf::{TestName, TestSet};
    let set = TestSet::load(TestName::HkdfSha256).unwrap();
    let mut ran = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut derived = vec![0; test.size];
        let result =
            Hkdf::<sha2::Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut derived);
        assert_eq!(
            result.is_ok(),
            test.result == TestResult::Valid,
            "{} {}",
            test.tc_id,
            test.comment
        );
        if result.is_ok() {
            assert_eq!(derived, test.okm[..], "{} {}", test.tc_id, test.comment);
        }
        ran += 1;
    }
    assert_eq!((ran, set.number_of_tests), (86, 86));
}
