//! Sealing and opening for the benchmark, beside the cipher alone on the same bytes. Not in the module that is shipped.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce};
use chorus_core::key::Keypair;
use chorus_core::seal::{Context, KeyCertificate, Recipient, SealSecret, Validity, seal};
use chorus_core::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::RngCore as _;
use wasm_bindgen::prelude::*;

use crate::error::{error, rng};

/// Content and keys. Each call works on all of the content, from memory to new memory.
#[wasm_bindgen]
pub struct SealBench {
    content: Vec<u8>,
    recipient: Recipient,
    identity: Keypair,
    cipher: ChaCha20Poly1305,
    rng: ChaCha20Rng,
}

#[wasm_bindgen]
impl SealBench {
    /// Fills `size` bytes.
    #[wasm_bindgen(constructor)]
    pub fn new(size: usize) -> Result<Self, JsValue> {
        let mut rng = rng()?;
        let mut content = vec![0; size];
        rng.fill_bytes(&mut content);
        let identity = Keypair::from_seed(&[2; 32]);
        let secret = SealSecret::generate(&mut rng);
        let now = Timestamp::from_millis(1_795_233_600_000);
        let validity = Validity {
            epoch: 1,
            from: now,
            until: now.saturating_add(Validity::MAX),
        };
        let recipient = KeyCertificate::issue(&identity, "main", secret.public(), validity)
            .and_then(|certificate| certificate.recipient(now))
            .map_err(|e| error("ERR_UNKNOWN", &e))?;
        Ok(Self {
            content,
            recipient,
            identity,
            cipher: ChaCha20Poly1305::new((&*secret.seed()).into()),
            rng,
        })
    }

    /// Seals the content to one recipient; returns the envelope's length.
    pub fn seal(&mut self) -> Result<usize, JsValue> {
        let context = Context {
            network: "main",
            author: self.identity.peer_id(),
            purpose: "sealed",
        };
        let envelope = seal(&self.content, &[self.recipient], &context, &mut self.rng);
        Ok(envelope.map_err(|e| error("ERR_UNKNOWN", &e))?.len())
    }

    /// Encrypts the content with the cipher in one call; returns the length.
    pub fn cipher(&self) -> Result<usize, JsValue> {
        let mut sealed = vec![0; self.content.len()];
        let failed = |_| error("ERR_UNKNOWN", &"the cipher refuses");
        let buffer = InOutBuf::new(&self.content, &mut sealed).map_err(|_| failed(()))?;
        let tag = self
            .cipher
            .encrypt_inout_detached(&Nonce::default(), &[], buffer);
        Ok(tag.map_err(|_| failed(()))?.len() + sealed.len())
    }
}
