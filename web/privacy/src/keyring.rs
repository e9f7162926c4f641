//! A tab's sealing keys: made, replaced, certified, and used to open.
//!
//! # Bytes of a keyring
//! Version (1), then for each secret, oldest first: seed (32), epoch, start and end of validity (8 each, big-endian, the
//! times in milliseconds since 1970).

use chorus_core::key::{Keypair, PeerId};
use chorus_core::packet::{Policy, UnverifiedPacket};
use chorus_core::release::sealing::{OpenError, certificate_of, open_parcel, renew};
use chorus_core::seal::{
    Directory, Keyring, MAX_SECRETS, Recipient, SealError, SealSecret, Validity,
};
use chorus_core::time::Timestamp;
use chorus_core::wire::{Reader, WireError, Writer};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use zeroize::Zeroizing;

use crate::error::{error, rng};

/// A keyring in which the newest key is not due to be replaced, and what a certificate of that key says.
#[wasm_bindgen]
pub struct Renewed {
    keyring: Zeroizing<Vec<u8>>,
    is_changed: bool,
    key: [u8; 32],
    validity: Validity,
}

#[wasm_bindgen]
impl Renewed {
    /// The keyring's bytes: secret.
    #[wasm_bindgen(getter)]
    pub fn keyring(&self) -> Uint8Array {
        self.keyring.as_slice().into()
    }

    /// Whether the keyring must be stored before its key is published.
    #[wasm_bindgen(getter, js_name = isChanged)]
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// The newest public key, 32 bytes.
    #[wasm_bindgen(getter)]
    pub fn key(&self) -> Uint8Array {
        self.key[..].into()
    }

    /// The key's epoch.
    #[wasm_bindgen(getter)]
    pub fn epoch(&self) -> f64 {
        self.validity.epoch as f64
    }

    /// From when it is valid, in milliseconds since 1970.
    #[wasm_bindgen(getter)]
    pub fn from(&self) -> f64 {
        self.validity.from.as_millis() as f64
    }

    /// Until when.
    #[wasm_bindgen(getter)]
    pub fn until(&self) -> f64 {
        self.validity.until.as_millis() as f64
    }
}

/// Makes a new key in `keyring` where one is due; without a keyring, the first. The identity certifies the key elsewhere.
///
/// # Errors
/// `ERR_NOT_KEPT`: the keyring is damaged.
#[wasm_bindgen(js_name = renewKeyring)]
pub fn renew_keyring(
    keyring: Option<Uint8Array>,
    network: &str,
    now: f64,
) -> Result<Renewed, JsValue> {
    let mut rng = rng()?;
    let mut keyring = match keyring {
        Some(bytes) => read(&bytes)?,
        None => Keyring::new(),
    };
    // The identity's key stays in the other module, which signs the certificate that is published. This one names the key
    // and its validity, and is dropped.
    let mut seed = Zeroizing::new([0; 32]);
    rand_chacha::rand_core::RngCore::fill_bytes(&mut rng, &mut *seed);
    let stand_in = Keypair::from_seed(&seed);
    let (certificate, is_changed) = renew(&mut keyring, (&stand_in, network), time(now), &mut rng)
        .map_err(|e| error("ERR_INVALID_ARGUMENT", &e))?;
    Ok(Renewed {
        keyring: write(&keyring),
        is_changed,
        key: *certificate.key().as_bytes(),
        validity: certificate.validity(),
    })
}

/// What was sealed.
#[wasm_bindgen]
pub struct Opened {
    content: Zeroizing<Vec<u8>>,
    name: String,
    content_type: String,
    quality: String,
}

#[wasm_bindgen]
impl Opened {
    /// The content.
    #[wasm_bindgen(getter)]
    pub fn content(&self) -> Uint8Array {
        self.content.as_slice().into()
    }

    /// What it is called; may be empty.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// What kind of content it is.
    #[wasm_bindgen(getter, js_name = type)]
    pub fn content_type(&self) -> String {
        self.content_type.clone()
    }

    /// Its metrics: JSON.
    #[wasm_bindgen(getter)]
    pub fn quality(&self) -> String {
        self.quality.clone()
    }
}

/// Opens an envelope that `author` sealed on `network`, with the keys of `keyring`.
///
/// # Errors
/// `ERR_NOT_FOR_ME`: none of the keys opens it. `ERR_INVALID_CONTENT`: it is cut, changed or no envelope.
#[wasm_bindgen]
pub fn open(
    envelope: &[u8],
    keyring: Option<Uint8Array>,
    network: &str,
    author: &str,
    now: f64,
) -> Result<Opened, JsValue> {
    let author = peer(author)?;
    let keyring = match keyring {
        Some(bytes) => read(&bytes)?,
        None => Keyring::new(),
    };
    let parcel = open_parcel(envelope, &keyring, (network, author), time(now)).map_err(|e| {
        let code = match e {
            OpenError::Seal(SealError::NotAddressed { .. }) => "ERR_NOT_FOR_ME",
            _ => "ERR_INVALID_CONTENT",
        };
        error(code, &e)
    })?;
    Ok(Opened {
        content: Zeroizing::new(parcel.content),
        name: parcel.name,
        // Numbers that are finite can be written.
        quality: serde_json::to_string(&parcel.quality).unwrap_or_default(),
        content_type: parcel.content_type,
    })
}

/// Finds whom content for each of `peers` is sealed to: the newest valid certificate in `packets`, which are binary forms.
///
/// # Errors
/// `ERR_NO_KEY`: names the first peer without one.
pub(crate) fn recipients(
    peers: &[String],
    packets: &Array,
    network: &str,
    now: Timestamp,
) -> Result<Vec<Recipient>, JsValue> {
    let mut directory = Directory::new(peers.len());
    let wanted: Vec<_> = peers
        .iter()
        .map(|text| peer(text))
        .collect::<Result<_, _>>()?;
    for bytes in packets
        .iter()
        .filter_map(|p| p.dyn_into::<Uint8Array>().ok())
    {
        let policy = Policy::new(network, now);
        let packet = UnverifiedPacket::from_cbor(&bytes.to_vec()).and_then(|p| p.verify(&policy));
        let Ok(packet) = packet else { continue };
        if wanted.contains(&packet.author())
            && let Ok(certificate) = certificate_of(&packet, network, now)
        {
            // An older one than is known is no news.
            let _ = directory.insert(certificate, now);
        }
    }
    let find = |peer: &PeerId| {
        let found = directory.recipient(*peer, now);
        found.map_err(|e| {
            error(
                "ERR_NO_KEY",
                &format!("nothing can be sealed to {peer}: {e}"),
            )
        })
    };
    wanted.iter().map(find).collect()
}

pub(crate) fn peer(text: &str) -> Result<PeerId, JsValue> {
    let invalid = |e| error("ERR_INVALID_ARGUMENT", &format!("peer id {text:?}: {e}"));
    text.parse().map_err(invalid)
}

pub(crate) fn time(millis: f64) -> Timestamp {
    Timestamp::from_millis(millis as u64)
}

fn read(bytes: &Uint8Array) -> Result<Keyring, JsValue> {
    let bytes = secret(bytes);
    let damaged = |e: &dyn std::fmt::Display| {
        error(
            "ERR_NOT_KEPT",
            &format!("the stored keyring is damaged: {e}"),
        )
    };
    let entries = entries(&bytes).map_err(|e| damaged(&e))?;
    Keyring::restore(entries).map_err(|e| damaged(&e))
}

fn entries(bytes: &[u8]) -> Result<Vec<(SealSecret, Validity)>, WireError> {
    let mut reader = Reader::new(bytes);
    let mut entries = Vec::new();
    let version = reader.u8()?;
    while version == VERSION && reader.remaining() > 0 && entries.len() <= MAX_SECRETS {
        let seed = Zeroizing::new(reader.array()?);
        let validity = Validity {
            epoch: reader.u64()?,
            from: Timestamp::from_millis(reader.u64()?),
            until: Timestamp::from_millis(reader.u64()?),
        };
        entries.push((SealSecret::from_seed(&seed), validity));
    }
    reader.finish()?;
    Ok(entries)
}

fn write(keyring: &Keyring) -> Zeroizing<Vec<u8>> {
    // All the room at once: growing would leave copies of the secrets behind.
    let mut writer = Writer::with_capacity(1 + MAX_SECRETS * ENTRY);
    writer.u8(VERSION);
    for (secret, validity) in keyring.entries() {
        writer
            .put(&*secret.seed())
            .u64(validity.epoch)
            .u64(validity.from.as_millis())
            .u64(validity.until.as_millis());
    }
    Zeroizing::new(writer.into_bytes())
}

/// Copies bytes out of JavaScript into memory that is erased.
pub(crate) fn secret(bytes: &Uint8Array) -> Zeroizing<Vec<u8>> {
    let mut copy = Zeroizing::new(vec![0; bytes.length() as usize]);
    bytes.copy_to(&mut copy);
    copy
}

/// Version of a keyring's bytes.
const VERSION: u8 = 1;
/// Bytes of one secret with its validity.
const ENTRY: usize = 32 + 3 * 8;
