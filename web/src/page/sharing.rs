//! Sharing with care, from the page: the functions of `www/privacy.js`, which the JavaScript API uses too.

use js_sys::{Function, Object, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{api::ChorusPeer, peer::Peer};

#[wasm_bindgen]
extern "C" {
    /// The module `www/privacy.js`.
    type Privacy;

    #[wasm_bindgen(method, catch)]
    async fn preview(this: &Privacy, peer: &JsValue, init: &Object) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = receiveSealed)]
    async fn receive_sealed(this: &Privacy, peer: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    async fn open(this: &Privacy, peer: &JsValue, cid: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    async fn ledger(this: &Privacy, peer: &JsValue) -> Result<JsValue, JsValue>;

    /// What would leave: see `Preview` in `www/chorus.d.ts`; its fields are read with `Reflect`.
    pub(super) type Preview;

    /// Notes it in the ledger and lets it leave; resolves to its content id. Works once.
    #[wasm_bindgen(method, catch)]
    pub(super) async fn share(this: &Preview) -> Result<JsValue, JsValue>;

    /// Lets go of it: it never leaves.
    #[wasm_bindgen(method)]
    pub(super) fn discard(this: &Preview);

    /// What JavaScript holds of a peer.
    type Held;

    #[wasm_bindgen(method)]
    fn free(this: &Held);
}

/// A page's way to share, seal, open and list. Holds the peer; dropping it lets the peer go.
pub(super) struct Sharing {
    load: Function,
    peer: JsValue,
}

impl Sharing {
    /// Makes it for `peer`; `load` resolves to `www/privacy.js`, and is called at the first use.
    pub(super) fn new(load: Function, peer: Peer) -> Self {
        Self {
            load,
            peer: ChorusPeer::of(peer).into(),
        }
    }

    /// Takes what `init` says (`PacketInit` in `www/chorus.d.ts`) through all stages; nothing leaves.
    ///
    /// # Errors
    /// An `Error` with a stable `code`.
    pub(super) async fn preview(&self, init: &Object) -> Result<Preview, JsValue> {
        let preview = self.privacy().await?.preview(&self.peer, init).await?;
        Ok(preview.unchecked_into())
    }

    /// Makes or renews this tab's sealing key and publishes its certificate; resolves to a `Date`: when the key ends.
    ///
    /// # Errors
    /// An `Error` with a stable `code`.
    #[expect(dead_code, reason = "the dialog of sealed files comes next")]
    pub(super) async fn receive_sealed(&self) -> Result<JsValue, JsValue> {
        self.privacy().await?.receive_sealed(&self.peer).await
    }

    /// Fetches and opens the sealed packet `cid`: `Opened` in `www/chorus.d.ts`.
    ///
    /// # Errors
    /// An `Error` with a stable `code`.
    #[expect(dead_code, reason = "the dialog of sealed files comes next")]
    pub(super) async fn open(&self, cid: &str) -> Result<JsValue, JsValue> {
        self.privacy().await?.open(&self.peer, cid).await
    }

    /// Lists what left this tab, and the budget: `Ledger` in `www/chorus.d.ts`.
    ///
    /// # Errors
    /// An `Error` with a stable `code`.
    #[expect(dead_code, reason = "the panel of the ledger comes next")]
    pub(super) async fn ledger(&self) -> Result<JsValue, JsValue> {
        self.privacy().await?.ledger(&self.peer).await
    }

    async fn privacy(&self) -> Result<Privacy, JsValue> {
        let loading: Promise = self.load.call0(&JsValue::UNDEFINED)?.dyn_into()?;
        Ok(JsFuture::from(loading).await?.unchecked_into())
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        self.peer.unchecked_ref::<Held>().free();
    }
}
