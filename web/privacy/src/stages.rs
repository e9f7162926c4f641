//! The way of content through all stages to the bytes that a packet carries, with the preview.

use std::collections::BTreeMap;

use chorus_core::bounds::LimitError;
use chorus_core::packet::Instructions;
use chorus_core::privacy::pseudonym::{EpochLength, NodeSecret};
use chorus_core::privacy::range::{Fact, Ladder};
use chorus_core::privacy::scrub::{Policy, Salt, Scrubber};
use chorus_core::privacy::{Anonymiser, PrivacyError};
use chorus_core::release::{
    Entry, Format, NoiseWish, Outgoing, Preview, ReleaseError, Rules, prepare, rows, sealing,
};
use chorus_core::time::Timestamp;
use js_sys::{Array, Uint8Array};
use rand_chacha::rand_core::RngCore as _;
use serde::Deserialize;
use wasm_bindgen::prelude::*;
use zeroize::Zeroizing;

use crate::budget::Reserved;
use crate::error::{error, rng};
use crate::keyring::{peer, recipients, secret, time};

/// What is to leave, as JavaScript says it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Init {
    #[serde(rename = "type")]
    packet_type: String,
    name: Option<String>,
    ttl: Option<u64>,
    #[serde(default)]
    quality: BTreeMap<String, f64>,
    instructions: Option<Instructions>,
    #[serde(default)]
    recipients: Vec<String>,
    #[serde(default)]
    verbatim: bool,
    noise: Option<Noise>,
    #[serde(default)]
    identifiers: BTreeMap<String, String>,
    #[serde(default)]
    facts: BTreeMap<String, f64>,
    /// Authors and metrics of packets that are known, newest first.
    #[serde(default)]
    published: Vec<(String, BTreeMap<String, f64>)>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Noise {
    clip_norm: f64,
    noise_multiplier: f64,
}

/// Returns fresh secrets for [`Stages`], to be kept: 64 bytes.
///
/// # Errors
/// The browser has no secure generator.
#[wasm_bindgen(js_name = newSecrets)]
pub fn new_secrets() -> Result<Uint8Array, JsValue> {
    let mut secrets = Zeroizing::new([0; SECRETS]);
    rng()?.fill_bytes(&mut *secrets);
    Ok(Uint8Array::from(&secrets[..]))
}

/// Takes content through all stages. Made for each in 2 ms: it reads its words.
#[wasm_bindgen]
pub struct Stages {
    rules: Rules,
    secret: NodeSecret,
    network: String,
}

#[wasm_bindgen]
impl Stages {
    /// Makes the stages of a peer on `network` with the secrets that it keeps.
    ///
    /// # Errors
    /// `ERR_NOT_KEPT`: the secrets are damaged.
    #[wasm_bindgen(constructor)]
    pub fn new(secrets: &Uint8Array, network: String) -> Result<Self, JsValue> {
        let secrets = secret(secrets);
        let halves = secrets.split_first_chunk::<32>();
        let parts = halves.and_then(|(salt, rest)| Some((*salt, <[u8; 32]>::try_from(rest).ok()?)));
        let Some((salt, names)) = parts else {
            return Err(error("ERR_NOT_KEPT", &"the stored secrets are damaged"));
        };
        let secret = NodeSecret::from_bytes(names);
        let epoch = EpochLength::default().epoch_of(Timestamp::from_millis(0));
        let rules = Rules::new(
            Scrubber::new(Policy::default(), Salt::from_bytes(salt)),
            Anonymiser::new(secret.pseudonyms(&network, epoch)),
        );
        Ok(Self {
            rules,
            secret,
            network,
        })
    }

    /// Takes `content` through all stages as `init` (JSON) says, in a packet that `author` is to sign, at `now`
    /// (milliseconds since 1970). `keys` are binary forms of packets with the recipients' certificates.
    ///
    /// # Errors
    /// `ERR_REFUSED`: the policy refuses what was found, or a check is not met. `ERR_NO_KEY`: a recipient has no valid
    /// key. `ERR_NEEDS_NOISE`: all is well, but the noise is to be booked first. `ERR_TOO_LARGE`, `ERR_INVALID_PACKET`, `ERR_INVALID_ARGUMENT`.
    pub fn prepare(
        &mut self,
        init: &str,
        content: Vec<u8>,
        reserved: Option<Reserved>,
        keys: &Array,
        author: &str,
        now: f64,
    ) -> Result<Released, JsValue> {
        let init: Init =
            serde_json::from_str(init).map_err(|e| error("ERR_INVALID_ARGUMENT", &e))?;
        let (now, author) = (time(now), peer(author)?);
        let epoch = EpochLength::default().epoch_of(now);
        self.rules.anonymiser = Anonymiser::new(self.secret.pseudonyms(&self.network, epoch));
        let to = recipients(&init.recipients, keys, &self.network, now)?;
        let mut grant = reserved.map(Reserved::into_grant);
        let mut rng = rng()?;
        let known = init.published.iter();
        let known = known.filter_map(|(author, quality)| Some((author.parse().ok()?, quality)));
        self.rules.published = rows(known, author);
        let outgoing = init.outgoing(content);
        let prepared =
            prepare(outgoing, &self.rules, grant.as_mut(), &mut rng).map_err(|e| refused(&e))?;
        let text = beginning(prepared.content(), prepared.preview().format);
        if to.is_empty() {
            let open = prepared.into_open();
            return Ok(Released {
                content: open.content,
                packet_type: open.packet_type,
                instructions: open.instructions.to_bytes(),
                preview: open.preview,
                text,
            });
        }
        let sealed = prepared.seal(&to, &self.network, author, &mut rng);
        let sealed = sealed.map_err(|e| error("ERR_INVALID_ARGUMENT", &e))?;
        let packet_type = sealed.packet_type().to_owned();
        let (content, preview) = sealed.into_parts();
        Ok(Released {
            content,
            packet_type,
            instructions: Instructions::default().to_bytes(),
            preview,
            text,
        })
    }
}

impl Init {
    fn outgoing(self, content: Vec<u8>) -> Outgoing {
        let fact = |(name, value)| {
            let ladder = Ladder::Sizes;
            (name, Fact { value, ladder })
        };
        let mut outgoing = Outgoing::new(self.packet_type, content);
        outgoing.name = self.name;
        outgoing.ttl_secs = self.ttl.unwrap_or(outgoing.ttl_secs);
        outgoing.quality = self.quality;
        outgoing.instructions = self.instructions;
        outgoing.identifiers = self.identifiers;
        outgoing.facts = self.facts.into_iter().map(fact).collect();
        outgoing.noise = self.noise.map(|noise| NoiseWish {
            clip_norm: noise.clip_norm,
            noise_multiplier: noise.noise_multiplier,
        });
        outgoing.is_verbatim = self.verbatim;
        outgoing
    }
}

/// What went through all stages, and has not left.
#[wasm_bindgen]
pub struct Released {
    content: Vec<u8>,
    packet_type: String,
    instructions: Vec<u8>,
    preview: Preview,
    text: Option<String>,
}

#[wasm_bindgen]
impl Released {
    /// The content that the packet carries: with recipients, the envelope.
    #[wasm_bindgen(getter)]
    pub fn content(&self) -> Uint8Array {
        self.content.as_slice().into()
    }

    /// The packet's type; its life and its metrics are in the preview.
    #[wasm_bindgen(getter, js_name = type)]
    pub fn packet_type(&self) -> String {
        self.packet_type.clone()
    }

    /// The packet's instructions in their binary form.
    #[wasm_bindgen(getter)]
    pub fn instructions(&self) -> Uint8Array {
        self.instructions.as_slice().into()
    }

    /// What the owner is to see: JSON. It holds what was found.
    #[wasm_bindgen(getter)]
    pub fn preview(&self) -> String {
        // Nothing in it cannot be written.
        serde_json::to_string(&self.preview).unwrap_or_default()
    }

    /// The beginning of the content as it leaves, before it is sealed, where it is text.
    #[wasm_bindgen(getter)]
    pub fn text(&self) -> Option<String> {
        self.text.clone()
    }

    /// The ledger's entry for the packet `cid` that leaves at `now`: JSON.
    pub fn entry(&self, cid: String, now: f64) -> String {
        serde_json::to_string(&Entry::of(&self.preview, cid, time(now))).unwrap_or_default()
    }
}

/// The type of packets that carry a key certificate.
#[wasm_bindgen(js_name = keyType)]
pub fn key_type() -> String {
    sealing::KEY_TYPE.into()
}

/// The type of packets that carry an envelope.
#[wasm_bindgen(js_name = sealedType)]
pub fn sealed_type() -> String {
    sealing::SEALED_TYPE.into()
}

/// Returns the beginning of content that is text.
fn beginning(content: &[u8], format: Format) -> Option<String> {
    match format {
        Format::Text | Format::Json => {
            let text = core::str::from_utf8(content).ok()?;
            Some(text[..text.floor_char_boundary(MAX_TEXT)].to_owned())
        }
        Format::Safetensors | Format::Engram | Format::Png | Format::Jpeg | Format::Opaque => None,
    }
}

fn refused(failed: &ReleaseError) -> JsValue {
    let code = match failed {
        ReleaseError::Refused { .. }
        | ReleaseError::Privacy(PrivacyError::Forbidden { .. } | PrivacyError::Invalid { .. }) => {
            "ERR_REFUSED"
        }
        // The owner may look and say that it leaves as it is.
        ReleaseError::Unclean { .. } | ReleaseError::Picture { .. } | ReleaseError::Json => {
            "ERR_UNCLEAN"
        }
        ReleaseError::PersonalMetric { .. } => "ERR_REFUSED",
        // For `www/privacy.js`, which then books the noise.
        ReleaseError::Privacy(PrivacyError::NoGrant { .. }) => "ERR_NEEDS_NOISE",
        ReleaseError::Limit(LimitError { what, .. }) if what.starts_with("bytes of") => {
            "ERR_TOO_LARGE"
        }
        ReleaseError::Limit(_) | ReleaseError::Privacy(PrivacyError::Limit(_)) => {
            "ERR_INVALID_PACKET"
        }
        _ => "ERR_INVALID_ARGUMENT",
    };
    error(code, failed)
}

/// Bytes of a text that its owner is shown. Guess: more than anyone reads there.
const MAX_TEXT: usize = 20_000;
/// Bytes of a peer's secrets: a salt for hashes, and the secret of its pseudonyms.
const SECRETS: usize = 64;
