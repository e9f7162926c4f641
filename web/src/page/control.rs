//! What the view may ask of the page.

use std::rc::Rc;

use chorus_core::digest::ContentId;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use super::Page;
use crate::{
    ui::{Control, Sample},
    view::state::{Action, FileStage},
};

/// What the view may ask of the page.
pub(super) struct PageControl(pub(super) Rc<Page>);

impl PageControl {
    /// Shows one of the dialogs about `subject`.
    fn show(&self, dialog: &'static str, subject: JsValue) {
        let page = self.0.clone();
        spawn_local(async move {
            if let Err(why) = page.ask(dialog, &subject).await {
                page.change(Action::Noticed(why.into()));
            }
        });
    }
}

impl Control for PageControl {
    fn share(&self, file: web_sys::File) {
        self.show("share", file.into());
    }

    fn ledger(&self) {
        self.show("ledger", JsValue::NULL);
    }

    fn engram(&self, cid: &str) {
        self.show("engram", cid.into());
    }

    fn fetch(&self, cid: &str) {
        let (page, text): (_, Rc<str>) = (self.0.clone(), cid.into());
        let Ok(cid) = cid.parse::<ContentId>() else {
            return;
        };
        if !page.fetching.borrow_mut().insert(cid) {
            return;
        }
        page.change(Action::FileMoved {
            cid: text.clone(),
            stage: FileStage::Fetching(0),
        });
        let is_sealed = page.store.state().has_sealed(&text);
        spawn_local(async move {
            let stage = page
                .fetch(cid, is_sealed)
                .await
                .unwrap_or_else(|why| FileStage::Failed(why.into()));
            page.fetching.borrow_mut().remove(&cid);
            page.change(Action::FileMoved { cid: text, stage });
        });
    }

    fn learn(&self, on: bool) {
        // One that is starting takes it from here.
        self.0.is_to_run.set(on);
        let shown = self.0.store.state().learner.clone();
        if let Some(learner) = &*self.0.learner.borrow() {
            learner.switch(on);
            self.0.change(Action::LearningSwitched(on));
        } else if on && shown.is_ready {
            // The last one could not start: it is tried again.
            self.learn_privately(shown.is_private);
        }
    }

    fn learn_privately(&self, is_private: bool) {
        let page = self.0.clone();
        let is_to_run = page.is_to_run.get();
        spawn_local(async move { page.learn(is_to_run, is_private).await });
    }

    fn predict(&self, pixels: &[f32; 64]) -> Option<[f32; 10]> {
        self.0
            .learner
            .borrow()
            .as_ref()
            .map(|learner| learner.predict(pixels))
    }

    fn sample(&self) -> Option<Sample> {
        let digits = self.0.digits.borrow().clone()?;
        // Seven is prime to the number of held-out digits, so that neighbours in the list come apart.
        let at = self.0.sampled.get() + 7;
        self.0.sampled.set(at);
        let sample = digits.test.get(at % digits.test.len().max(1))?;
        Some(Sample {
            pixels: sample.input(),
            label: sample.label,
        })
    }

    fn dismiss(&self) {
        self.0.change(Action::NoticeDismissed);
    }
}
